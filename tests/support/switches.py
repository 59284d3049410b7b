"""Weights change while pods are asked all the time, and while what the status says is checked."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import urllib3

from beside import again_and_again
from bikes import NAME, await_ready, condition
from kubectl import Kubectl
from manifests import bike_record
from pods import engines
from waiting import await_that

Object = dict[str, Any]

TURNS = [((0, 1), "rf"), ((1, 0), "gb")]
"""Weights that take turns, and who answers by them."""

GENEROUS = 60.0
"""Seconds that a change may take on a machine that does much else; what it took is printed."""


class Pod:
    """Asks one pod all the time."""

    def __init__(self, pod: Object, pause: float) -> None:
        self.name = pod["metadata"]["name"]
        self.address = pod["status"]["podIP"]
        self.answers: list[tuple[float, int, str]] = []
        """When it was asked, the status, and by which variant it was answered."""

        self._pause = pause
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _ask(self) -> None:
        url = f"http://{self.address}:8080/pipelines/{NAME}"
        with urllib3.PoolManager(retries=False) as pool:
            while not self._ended.wait(self._pause):
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
def asked(pods: list[Object], pause: float = 0.01) -> Iterator[list[Pod]]:
    """Ask pods until the block ends, each anew so many seconds after it answered."""
    asking = [Pod(one, pause) for one in pods]
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

    def look() -> None:
        pipeline = kubectl.get("typ", NAME)
        if condition(pipeline, "RoutingSynced").get("status") != "True":
            return
        claimed = pipeline["status"]["routing"]["revision"]
        for pod in engines(kubectl):
            url = f"http://{pod['status']['podIP']}:9090/status"
            said = pool.request("GET", url, timeout=20).json()["pipelines"][0]["routing"]
            if said["revision"] < claimed:
                lies.append(f"{pod['metadata']['name']} runs {said}, claimed: {claimed}")

    with urllib3.PoolManager(retries=False) as pool, again_and_again(look, 0.02):
        yield lies


def switch(kubectl: Kubectl, document: Object, variant: str, pods: list[Pod]) -> list[float]:
    """Apply weights, and wait until every pod answers by a variant and the status says so.

    Gives for each pod the seconds from the start of `kubectl apply` to its last older answer.
    """
    began = time.monotonic()
    kubectl.apply(document)
    await_that(lambda: all(one.switched(variant, began) is not None for one in pods), GENEROUS)
    await_ready(kubectl)
    return [seconds for pod in pods if (seconds := pod.switched(variant, began)) is not None]


def insist_on_calm(kubectl: Kubectl, before: list[Object], pods: list[Pod]) -> None:
    """Insist that every request was answered, and that no pod was replaced or started again."""
    assert {status for pod in pods for _, status, _ in pod.answers} == {200}
    after = engines(kubectl)
    assert uids(after) == uids(before)
    states = [state for one in after for state in one["status"]["containerStatuses"]]
    assert {state["restartCount"] for state in states} == {0}


def uids(pods: list[Object]) -> set[str]:
    """What pods are told apart by."""
    return {one["metadata"]["uid"] for one in pods}
