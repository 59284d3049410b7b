"""Ramps that are disturbed: by two operators, by people who change their minds."""

import signal
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bikes import NAME, await_condition, await_ready, condition
from kubectl import Kubectl
from operators import Operators
from pods import engines
from tried import step_of, tried, users
from waiting import await_that

Object = dict[str, Any]

HOLD = 3.0
RAMP = [{"weight": weight, "hold": f"{HOLD:.0f}s"} for weight in (10, 30, 50, 70, 100)]
PATIENCE = 120.0
COUNTS = {("ConfigMap", f"{NAME}-evidence")}
"""Written once a minute."""

OWNED = "--selector=app.kubernetes.io/managed-by=tiltyard"

pytestmark = [
    pytest.mark.full,
    pytest.mark.usefixtures("local_node"),
    pytest.mark.timeout(600),
]


def entered(kubectl: Kubectl) -> list[str]:
    """Messages of the stages that were entered, each as often as it was told."""
    found = kubectl.get("events", "--field-selector=reason=StageEntered")["items"]
    return [one["message"] for one in found for _ in range(one.get("count") or 1)]


def test_a_leader_that_was_paused_moves_no_ramp_when_it_comes_back(
    kubectl: Kubectl, tmp_path: Path, operators: Operators
) -> None:
    first = operators.start("first").await_work()
    second = operators.start("second")
    await_that(lambda: second.said("waiting for the Lease"))
    kubectl.apply(tried(tmp_path, RAMP))
    await_ready(kubectl)
    seen: dict[int, datetime] = {}

    def note() -> int:
        stage = step_of(kubectl.get("typ", NAME)).get("stage") or {"number": 0}
        if stage["number"] not in seen and "entered" in stage:
            seen[stage["number"]] = datetime.fromisoformat(stage["entered"])
        return int(stage["number"])

    with users(engines(kubectl)) as asking:
        await_that(lambda: note() >= 2, PATIENCE)
        first.signal(signal.SIGSTOP)
        second.await_work()
        await_that(lambda: note() >= 3, PATIENCE)
        first.signal(signal.SIGCONT)
        assert first.ended(60) == 1
        await_that(lambda: note() == len(RAMP), PATIENCE)
        done = await_condition(kubectl, "CanaryHealthy", "True", "Complete")
    assert {one.status for one in asking.answers} == {200}
    assert condition(done, "Ready")["status"] == "True"
    assert list(seen) == sorted(seen)
    for before, after in pairwise(seen):  # a slow look may miss a stage
        lasted = (seen[after] - seen[before]).total_seconds()
        assert lasted >= HOLD * (after - before)
    assert len(set(entered(kubectl))) == len(entered(kubectl))


def shape(kubectl: Kubectl) -> Object:
    """What a Pipeline comes to, without names and times that are new in each run."""
    pipeline = kubectl.get("typ", NAME)
    step = step_of(pipeline)
    owned = kubectl.get("deployments,services,configmaps,roles", OWNED)["items"]
    return {
        "variants": [(one["model"], one["effective"]) for one in step["variants"]],
        "stage": [step["stage"][field] for field in ("number", "of", "weight", "revision", "pair")],
        "healthy": [condition(pipeline, "CanaryHealthy")[field] for field in ("status", "reason")],
        "pods": pipeline["status"]["routing"]["synced"],
        "owned": sorted({(one["kind"], one["metadata"]["name"]) for one in owned} - COUNTS),
        "template": kubectl.get("deployment", NAME)["spec"]["template"],
    }


@pytest.mark.usefixtures("operator_process")
def test_a_ramp_that_is_changed_and_changed_back_ends_as_if_nobody_had(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    document = tried(tmp_path, [{"weight": 10, "hold": "10h"}])
    kubectl.apply(document)
    await_ready(kubectl)
    await_condition(kubectl, "CanaryHealthy", "True", "Ramping")
    expected = shape(kubectl)
    with users(engines(kubectl)) as asking:
        for pause in (0.0, 0.7, 3.0):
            kubectl.apply(tried(tmp_path, [{"weight": 30}, {"weight": 60}], minUnits=5))
            time.sleep(pause)
            kubectl.apply(document)
            await_ready(kubectl)
            await_that(lambda: shape(kubectl) == expected, PATIENCE)
    assert {one.status for one in asking.answers} == {200}
