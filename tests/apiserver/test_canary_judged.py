"""What rolls a candidate back and what does not, with real engines, counts and an operator."""

from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_condition, await_ready, condition
from kubectl import Kubectl
from pods import engines
from served_models import TROUBLE, slow
from tiltyard_core.draws import canary_ends, keyed_draw
from tried import CANDIDATE, STABLE, STEP, ask, step_of, tried, users
from waiting import await_that

Object = dict[str, Any]

HALF = [{"weight": 50, "hold": "10h"}]
ROUNDS = 300_000
"""Of a loop: a tenth of a second of a processor and more."""

BURST = 200

pytestmark = [
    pytest.mark.usefixtures("local_node", "operator_process"),
    pytest.mark.timeout(600),
]


def test_a_slower_candidate_is_rolled_back_by_its_latency(kubectl: Kubectl, tmp_path: Path) -> None:
    document = tried(tmp_path, HALF, candidate=slow(ROUNDS), latency={"above": "50ms"})
    document["spec"]["models"][1]["timeout"] = "60s"  # slow, and no error
    kubectl.apply(document)
    await_ready(kubectl)
    with users(engines(kubectl), troubled=True) as asking:
        rolled_back = await_condition(kubectl, "Stalled", "True", "RolledBack", seconds=300)
        await_that(lambda: condition(kubectl.get("typ", NAME), "RoutingSynced")["status"] == "True")
    assert {one.status for one in asking.answers} == {200}
    latch = step_of(rolled_back)["latched"]
    assert latch["guard"] == "latency"
    assert condition(rolled_back, "Available")["status"] == "True"
    with users(engines(kubectl), troubled=True) as asking:
        await_that(lambda: len(asking.answers) > 100)
    assert {one.variant for one in asking.answers} == {STABLE}


@pytest.mark.full  # a minute, for figures to be written
def test_one_user_who_fails_all_the_time_is_one_bad_unit_on_however_many_pods(
    kubectl: Kubectl, tmp_path: Path
) -> None:
    kubectl.apply(tried(tmp_path, HALF))
    await_ready(kubectl)
    end, _ = canary_ends(50)
    salt = f"{kubectl.namespace}/{NAME}/{STEP}"
    unlucky = next(one for one in map("client-{}".format, range(99)) if keyed_draw(salt, one) < end)
    pods = engines(kubectl)
    with users(pods) as asking, urllib3.PoolManager(retries=False) as pool:
        await_that(lambda: len(asking.of(CANDIDATE)) > 30)
        for number in range(BURST):
            pod = pods[number % len(pods)]
            name, address = pod["metadata"]["name"], pod["status"]["podIP"]
            served = ask(pool, name, address, unlucky, TROUBLE)
            assert (served.status, served.variant) == (500, CANDIDATE)

        def counted() -> Object:
            evidence = step_of(kubectl.get("typ", NAME)).get("evidence") or ()
            return next((dict(one) for one in evidence if one["guard"] == "errors"), {})

        await_that(lambda: counted().get("both"), 200)  # figures are written once a minute
        asked = len(asking.answers)
        await_that(lambda: len(asking.answers) > asked + 100)
    assert {one.status for one in asking.answers} == {200}
    found = counted()
    assert (found["candidate"], found["both"]) == (1, 1)
    pipeline = kubectl.get("typ", NAME)
    assert "latched" not in step_of(pipeline)
    assert condition(pipeline, "CanaryHealthy")["status"] == "True"
    told = {one["model"]: one for one in step_of(pipeline)["variants"]}
    assert told[CANDIDATE]["units"] > 30
    assert 0 < told[CANDIDATE]["errorShare"] < 0.04
    assert told[STABLE]["errorShare"] == 0
    for one in told.values():
        assert 0 < one["p50"] <= one["p99"]
