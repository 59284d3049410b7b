"""A canary on a real API server, and the users that it is tried on."""

import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from bikes import NAME
from filed import filed
from kubectl import Kubectl
from served_models import TROUBLE, failing, scaled

Object = dict[str, Any]

STABLE, CANDIDATE = "old", "new"
STEP = "swap"
QUICK = [
    {"weight": 20, "hold": "1s"},
    {"weight": 60, "hold": "1s"},
    {"weight": 100, "hold": "1s"},
]
"""A ramp that is soon at its end."""


def tried(
    folder: Path,
    steps: Sequence[Object],
    *,
    replicas: int = 2,
    candidate: bytes | None = None,
    **guards: object,
) -> Object:
    """Give a Pipeline with a canary of a model that serves, and one that fails on trouble."""
    models = {STABLE: scaled(1), CANDIDATE: candidate or failing(2)}
    canary = {
        "stable": STABLE,
        "candidate": CANDIDATE,
        "hashKey": {"field": "user"},
        "ramp": {"steps": list(steps)},
        "guards": {"minUnits": 20, **guards},
    }
    return filed(folder, models, {"name": STEP, "canary": canary}, replicas)


@dataclass(frozen=True)
class Served:
    """One answer."""

    user: str
    pod: str
    status: int
    variant: str


class Users:
    """Users that ask all pods in turn, each of them once, until they are told to stop."""

    def __init__(self, pods: Sequence[Object], *, troubled: bool) -> None:
        self.answers: list[Served] = []
        self._addresses = {one["metadata"]["name"]: one["status"]["podIP"] for one in pods}
        self._x = TROUBLE if troubled else 1.0
        self._numbers = itertools.count()
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, args=[name], daemon=True) for name in self._addresses
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def of(self, variant: str) -> list[Served]:
        """Give the answers of a variant."""
        return [one for one in self.answers if one.variant == variant]

    def _ask(self, pod: str) -> None:
        with urllib3.PoolManager(retries=False) as pool:
            while not self._ended.wait(0.005):
                user = f"user-{next(self._numbers)}"
                self.answers.append(ask(pool, pod, self._addresses[pod], user, self._x))


def ask(pool: urllib3.PoolManager, pod: str, address: str, user: str, x: float = 1.0) -> Served:
    """Let one user ask a pod. An error is the candidate's, since the other model never fails."""
    url = f"http://{address}:8080/pipelines/{NAME}"
    answer = pool.request("POST", url, json=[{"x": x, "user": user}], timeout=20)
    said = answer.headers.get("X-Tiltyard-Variant", "").removeprefix(f"{STEP}=")
    return Served(user, pod, answer.status, said or CANDIDATE)


@contextmanager
def users(pods: Sequence[Object], *, troubled: bool = False) -> Iterator[Users]:
    """Let users ask until the block ends."""
    asking = Users(pods, troubled=troubled)
    asking.start()
    try:
        yield asking
    finally:
        asking.stop()


def step_of(pipeline: Object) -> Object:
    """What the status says of the canary; empty: nothing yet."""
    found = pipeline.get("status", {}).get("steps", ())
    return next((dict(one) for one in found if one["name"] == STEP), {})


def stage_of(kubectl: Kubectl) -> int:
    """Number of the stage that the ramp is in; 0: it has not begun."""
    return int(step_of(kubectl.get("typ", NAME)).get("stage", {}).get("number", 0))
