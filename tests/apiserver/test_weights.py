"""New weights reach every pod soon, restart nothing, and are acknowledged truthfully."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import urllib3

from bikes import NAME, await_ready, bikes, condition
from cluster.plane import ControlPlane
from kubectl import Kubectl
from localnode.node import LocalNode
from manifests import bike_record
from relay import relay
from tried import engines
from waiting import await_that

Object = dict[str, Any]

GENEROUS = 30.0
"""Seconds that a change may take on a machine that does much else; what it took is printed."""

pytestmark = [pytest.mark.usefixtures("operator_process"), pytest.mark.timeout(600)]


class Pod:
    """Asks one pod all the time."""

    def __init__(self, pod: Object) -> None:
        self.name = pod["metadata"]["name"]
        self.address = pod["status"]["podIP"]
        self.answers: list[tuple[float, int, str]] = []
        """When it was asked, the status, and by which variant it was answered."""

        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        url = f"http://{self.address}:8080/pipelines/{NAME}"
        with urllib3.PoolManager(retries=False) as pool:
            while not self._ended.wait(0.01):
                asked = time.monotonic()
                answer = pool.request("POST", url, json=[bike_record()], timeout=20)
                said = answer.headers.get("X-Tiltyard-Variant", "").rpartition("=")[2]
                self.answers.append((asked, answer.status, said))

    def switched(self, variant: str, since: float) -> float | None:
        """Seconds until it answered by a variant, and by no other afterwards; None: not yet."""
        later = [one for one in self.answers[-5000:] if one[0] >= since]
        if not later or later[-1][2] != variant:
            return None
        others = [asked for asked, _, said in later if said != variant]
        return max([0.0, *(asked - since for asked in others)])


@contextmanager
def asked(pods: list[Object]) -> Iterator[list[Pod]]:
    """Ask pods until the block ends."""
    asking = [Pod(one) for one in pods]
    try:
        yield asking
    finally:
        for one in asking:
            one.stop()


@contextmanager
def watched(kubectl: Kubectl) -> Iterator[list[str]]:
    """Compare all the time what the status says with what pods say; gives where it said too much.

    The pods are asked after the status was read: what it claims must still hold, or be surpassed.
    """
    lies: list[str] = []
    ended = threading.Event()

    def look() -> None:
        with urllib3.PoolManager(retries=False) as pool:
            while not ended.wait(0.02):
                pipeline = kubectl.get("typ", NAME)
                if condition(pipeline, "RoutingSynced").get("status") != "True":
                    continue
                claimed = pipeline["status"]["routing"]["revision"]
                for pod in engines(kubectl):
                    url = f"http://{pod['status']['podIP']}:9090/status"
                    said = pool.request("GET", url, timeout=20).json()["pipelines"][0]["routing"]
                    if said["revision"] < claimed:
                        lies.append(f"{pod['metadata']['name']} runs {said}, claimed: {claimed}")

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield lies
    finally:
        ended.set()
        looking.join()


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(6, id="6"),
        pytest.param(50, id="50", marks=[pytest.mark.full, pytest.mark.timeout(1800)]),
    ],
)
@pytest.mark.usefixtures("local_node")
def test_changes_are_in_force_everywhere_and_only_then_acknowledged(
    kubectl: Kubectl, changes: int
) -> None:
    kubectl.apply(bikes((1, 0), replicas=3))
    await_ready(kubectl)
    before = {one["metadata"]["uid"] for one in engines(kubectl)}
    took: list[float] = []
    with asked(engines(kubectl)) as pods, watched(kubectl) as lies:
        for number in range(changes):
            weights, variant = [((0, 1), "rf"), ((1, 0), "gb")][number % 2]
            began = time.monotonic()
            kubectl.apply(bikes(weights, replicas=3))
            for pod in pods:
                await_that(
                    lambda pod=pod, variant=variant, began=began: (
                        pod.switched(variant, began) is not None
                    ),
                    GENEROUS,
                )
            await_ready(kubectl)
            took += [seconds for pod in pods if (seconds := pod.switched(variant, began))]
    took.sort()
    half, last = took[len(took) // 2], took[-1]
    sys.stdout.write(f"{changes} changes on 3 pods: half within {half:.2f} s, all {last:.2f}\n")
    assert lies == []
    assert {status for pod in pods for _, status, _ in pod.answers} == {200}
    after = engines(kubectl)
    assert {one["metadata"]["uid"] for one in after} == before
    assert {
        container["restartCount"]
        for one in after
        for container in one["status"]["containerStatuses"]
    } == {0}


def test_a_pod_that_hears_of_nothing_is_named_while_the_others_switch(
    kubectl: Kubectl, control_plane: ControlPlane, local_node: LocalNode
) -> None:
    server = urlsplit(control_plane.url)
    assert server.hostname
    assert server.port
    with relay(server.hostname, server.port) as way:
        local_node.detours = [way.port]
        kubectl.apply(bikes((1, 0), replicas=3))
        await_ready(kubectl)
        with asked(engines(kubectl)) as pods, watched(kubectl) as lies:
            way.cut()
            began = time.monotonic()
            kubectl.apply(bikes((0, 1), replicas=3))
            await_that(lambda: sum(one.switched("rf", began) is not None for one in pods) == 2)
            (deaf,) = [one for one in pods if one.switched("rf", began) is None]
            await_that(
                lambda: (
                    kubectl.get(f"typ/{NAME}")["status"]["routing"].get("laggards") == [deaf.name]
                )
            )
            apart = kubectl.get(f"typ/{NAME}")
            assert apart["status"]["routing"]["synced"] == "2/3"
            assert condition(apart, "RoutingSynced")["reason"] == "Syncing"
            assert condition(apart, "Ready")["status"] == "False"
            way.mend()
            await_ready(kubectl)
            assert deaf.switched("rf", began) is not None
        assert lies == []
        assert {status for pod in pods for _, status, _ in pod.answers} == {200}
