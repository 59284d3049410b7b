"""Canaries on a real API server with real engines: they ramp, and stop themselves."""

import json
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_condition, await_ready, condition
from kubectl import Kubectl
from operators import OperatorProcess, Operators
from pods import engines
from programs import tiltyard as run_tiltyard
from tiltyard_core.draws import canary_ends, keyed_draw
from tried import CANDIDATE, QUICK, STABLE, STEP, ask, stage_of, step_of, tried, users
from waiting import await_that

Object = dict[str, Any]

PATIENCE = 90.0
FOREVER = [{"weight": 50, "hold": "10h"}]

pytestmark = [pytest.mark.usefixtures("local_node"), pytest.mark.timeout(600)]


def told(kubectl: Kubectl, reason: str) -> list[str]:
    """Messages of the events of a reason."""
    found = kubectl.get("events", f"--field-selector=reason={reason}")["items"]
    return [one["message"] for one in found]


def served_by_each(kubectl: Kubectl, user: str) -> set[str]:
    """Variant that a user gets from each pod."""
    with urllib3.PoolManager(retries=False) as pool:
        return {
            ask(pool, pod["metadata"]["name"], pod["status"]["podIP"], user).variant
            for pod in engines(kubectl)
        }


def of_the_candidate(kubectl: Kubectl, weight: float) -> list[str]:
    """Give users that draw the candidate at a weight."""
    salt = f"{kubectl.namespace}/{NAME}/{STEP}"
    end, _ = canary_ends(weight)
    return [one for one in (f"user-{n}" for n in range(200)) if keyed_draw(salt, one) < end]


@pytest.mark.usefixtures("operator_process")
def test_a_good_candidate_takes_over_and_nobody_is_moved_back(
    kubectl: Kubectl, tmp_path: Path, namespace: str
) -> None:
    document = tried(tmp_path, QUICK)
    kubectl.apply(document)
    await_ready(kubectl)
    spec = kubectl.get("typ", NAME)["spec"]
    generation = kubectl.get("deployment", NAME)["metadata"]["generation"]
    early = of_the_candidate(kubectl, 20)[:5]
    with users(engines(kubectl)) as asking:
        for stage in (1, 2, 3):
            await_that(lambda stage=stage: stage_of(kubectl) >= stage, PATIENCE)
            await_that(lambda: all(served_by_each(kubectl, user) == {CANDIDATE} for user in early))
        done = await_condition(kubectl, "CanaryHealthy", "True", "Complete")
    assert {one.status for one in asking.answers} == {200}
    for one in asking.answers:
        if one.variant == STABLE:  # only who draws beyond the first stage's share
            draw = keyed_draw(f"{namespace}/{NAME}/{STEP}", one.user)
            assert draw >= canary_ends(20)[0]
    assert condition(done, "Ready")["status"] == "True"
    assert step_of(done)["stage"]["complete"]
    assert kubectl.get("typ", NAME)["spec"] == spec
    assert "annotations" not in done["metadata"] or not [
        key for key in done["metadata"]["annotations"] if key.startswith("tiltyard.dev")
    ]
    assert kubectl.get("deployment", NAME)["metadata"]["generation"] == generation
    assert len(told(kubectl, "StageEntered")) == 3
    assert len(told(kubectl, "CanaryComplete")) == 1


def test_a_bad_candidate_is_off_and_stays_so_until_the_spec_changes(
    kubectl: Kubectl, tmp_path: Path, operators: Operators
) -> None:
    operator = operators.start().await_work()
    document = tried(tmp_path, FOREVER)
    kubectl.apply(document)
    await_ready(kubectl)
    with users(engines(kubectl), troubled=True) as asking:
        await_condition(kubectl, "CanaryHealthy", "False", "RolledBack")
        await_that(lambda: condition(kubectl.get("typ", NAME), "RoutingSynced")["status"] == "True")
        answered = len(asking.answers)
        await_that(lambda: len(asking.answers) > answered + 50, PATIENCE)  # those on their way
        failed, answered = len(asking.of(CANDIDATE)), len(asking.answers)
        await_that(lambda: len(asking.answers) > answered + 200, PATIENCE)
        assert len(asking.of(CANDIDATE)) == failed
    stopped = kubectl.get("typ", NAME)
    assert_rolled_back(stopped)
    run = step_of(stopped)["stage"]["id"]
    assert len(told(kubectl, "RolledBack")) == 1
    operator.kill()
    operators.start().await_work()
    kubectl.apply(document)
    kubectl.apply(document | {"metadata": {"name": NAME, "labels": {"looked": "again"}}})
    kubectl("delete", "service", NAME)
    await_that(lambda: kubectl.run("get", "service", NAME).returncode == 0, PATIENCE)
    again = kubectl.get("typ", NAME)
    assert_rolled_back(again)
    assert step_of(again)["stage"]["id"] == run
    assert served_by_each(kubectl, of_the_candidate(kubectl, 50)[0]) == {STABLE}
    assert len(told(kubectl, "RolledBack")) == 1
    kubectl.apply(tried(tmp_path, [{"weight": 30, "hold": "10h"}]))
    await_ready(kubectl)
    assert step_of(kubectl.get("typ", NAME))["stage"]["id"] != run
    await_that(lambda: served_by_each(kubectl, of_the_candidate(kubectl, 30)[0]) == {CANDIDATE})


def assert_rolled_back(pipeline: Object) -> None:
    """Insist on the row of the table: who waits knows that waiting does not help."""
    found = {
        kind: condition(pipeline, kind)
        for kind in ("Ready", "Stalled", "Available", "CanaryHealthy", "Reconciling")
    }
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "RolledBack")
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", "RolledBack")
    assert found["Available"]["status"] == "True"
    assert found["CanaryHealthy"]["status"] == "False"
    assert found["Reconciling"] == {}
    step = step_of(pipeline)
    assert step["latched"]["message"]
    shares = {one["model"]: one["effective"] for one in step["variants"]}
    assert shares == {STABLE: 1, CANDIDATE: 0}


def test_people_promote_and_abort_by_the_command_line(
    kubectl: Kubectl,
    tmp_path: Path,
    operator_process: OperatorProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubectl.kubeconfig))

    def tiltyard(*words: str, code: int = 0) -> str:
        done = run_tiltyard(*words, "-n", kubectl.namespace)
        assert done.returncode == code, done.stderr
        return done.stderr if code else done.stdout

    steps = [{"weight": 10}, {"weight": 40, "hold": "10h"}, {"weight": 80}]
    kubectl.apply(tried(tmp_path, steps))
    await_ready(kubectl)
    await_condition(kubectl, "CanaryHealthy", "True", "AwaitingPromotion")
    assert condition(kubectl.get("typ", NAME), "Ready")["status"] == "True"
    assert "promotion of stage 1 of 3" in tiltyard("promote", NAME)
    await_that(lambda: stage_of(kubectl) == 2, PATIENCE)
    shown = tiltyard("status", NAME)
    assert "stage 2 of 3" in shown
    assert json.loads(tiltyard("status", NAME, "-o", "json"))["steps"][0]["stage"]["number"] == 2
    assert "abort of stage 2 of 3" in tiltyard("abort", NAME, "--step", STEP)
    await_condition(kubectl, "Stalled", "True", "RolledBack")
    pipeline = kubectl.get("typ", NAME)
    assert_rolled_back(pipeline)
    assert step_of(pipeline)["latched"]["by"] == "user"
    refused = tiltyard("promote", NAME, code=1)
    assert "is rolled back already" in refused
    assert operator_process.count('tiltyard_operator_rollbacks_total{by="user"}') == 1
    assert operator_process.count('tiltyard_operator_canaries{reason="RolledBack"}') == 1
