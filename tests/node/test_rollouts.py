"""Pods come and go under steady traffic, and no caller notices."""

import copy
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import pytest

from bikes import await_condition, await_ready
from cluster.api import Api, ApiError
from cluster.node import cgroups
from kubectl import Kubectl
from pods import ROLLS_SECONDS, engines
from waiting import await_that

Object = dict[str, Any]
UnderTraffic = Callable[[Callable[[], None]], None]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

NAMED_SECONDS = 30
"""Five on a machine that has nothing else to do."""


def names(kubectl: Kubectl) -> set[str]:
    """Names of the pods that serve."""
    return {one["metadata"]["name"] for one in engines(kubectl)}


def rolled(kubectl: Kubectl, before: set[str]) -> bool:
    """Whether every pod was replaced, and the old ones are gone."""
    there = kubectl.get("pods", "--selector=app.kubernetes.io/name=tiltyard-engine")["items"]
    return not before & {one["metadata"]["name"] for one in there}


def settle(kubectl: Kubectl, done: Callable[[], bool]) -> None:
    """Wait until something is done and the Pipeline says that it is ready."""
    await_that(done, ROLLS_SECONDS)
    await_ready(kubectl, ROLLS_SECONDS)


def test_a_new_version_rolls_without_a_failed_request(
    kubectl: Kubectl, pipeline: Object, under_traffic: UnderTraffic
) -> None:
    before = names(kubectl)
    for model in pipeline["spec"]["models"]:
        model["timeout"] = "4s"

    def roll() -> None:
        kubectl.apply(pipeline)
        settle(kubectl, lambda: rolled(kubectl, before))

    under_traffic(roll)


def test_pods_are_added_and_taken_away_without_a_failed_request(
    kubectl: Kubectl, pipeline: Object, under_traffic: UnderTraffic
) -> None:
    def scale() -> None:
        for replicas in (3, 1):
            pipeline["spec"]["deployment"]["replicas"] = replicas
            kubectl.apply(pipeline)
            settle(kubectl, lambda: len(engines(kubectl)) == replicas)  # noqa: B023 - ends here

    under_traffic(scale)


def evict(api: Api, namespace: str, name: str) -> int:
    """Ask for an eviction, as a drain does; the status of the answer."""
    body = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": namespace},
    }
    try:
        api.call("POST", f"/api/v1/namespaces/{namespace}/pods/{name}/eviction", body)
    except ApiError as error:
        return error.status
    return 201


@pytest.mark.usefixtures("pipeline")
def test_a_drain_takes_one_pod_at_a_time_and_fails_no_request(
    kubectl: Kubectl, api: Api, under_traffic: UnderTraffic
) -> None:
    before = sorted(names(kubectl))

    def drain() -> None:
        first, second = before
        assert evict(api, kubectl.namespace, first) == 201
        refused = evict(api, kubectl.namespace, second)
        assert refused == 429, "the second may not go before the first has a successor"

        def evicted() -> bool:
            return evict(api, kubectl.namespace, second) in {201, 404}

        await_that(evicted, ROLLS_SECONDS)
        settle(kubectl, lambda: rolled(kubectl, set(before)) and len(engines(kubectl)) == 2)

    under_traffic(drain)


@pytest.mark.usefixtures("pipeline")
def test_a_killed_engine_is_named_and_comes_back(kubectl: Kubectl) -> None:
    victim = engines(kubectl)[0]
    name = victim["metadata"]["name"]
    for process in cgroups.processes(victim["metadata"]["uid"]):
        os.kill(process, signal.SIGKILL)
    killed = time.monotonic()
    await_that(lambda: name in json.dumps(kubectl.get("typ/bikes")["status"]), NAMED_SECONDS)
    print(f"named after {time.monotonic() - killed:.1f} s")  # noqa: T201 - shown by -rP

    def restarted() -> bool:
        status = kubectl.get("pod", name)["status"]
        return bool(status["containerStatuses"][0]["restartCount"])

    settle(kubectl, restarted)
    assert len(engines(kubectl)) == 2


def test_a_model_that_cannot_be_had_leaves_the_old_version_serving(
    kubectl: Kubectl, pipeline: Object, under_traffic: UnderTraffic
) -> None:
    before = names(kubectl)
    good = copy.deepcopy(pipeline)
    pipeline["spec"]["models"][0]["source"]["sha256"] = "0" * 64

    def spoil() -> None:
        kubectl.apply(pipeline)
        said = await_condition(kubectl, "Stalled", "True", "DigestMismatch", seconds=ROLLS_SECONDS)
        found = {one["type"]: one["status"] for one in said["status"]["conditions"]}
        assert (found["Available"], found["Ready"]) == ("True", "False")
        kubectl.apply(good)
        await_ready(kubectl, ROLLS_SECONDS)

    under_traffic(spoil)
    assert names(kubectl) == before, "no pod was replaced"
