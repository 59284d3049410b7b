"""Asks the pods of engines what they serve. The only HTTP client besides the API server's."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import urllib3

from tiltyard_api.names import MANAGEMENT_PORT
from tiltyard_operator.answers import read_all
from tiltyard_operator.cluster import Cluster
from tiltyard_operator.errors import ClusterError
from tiltyard_operator.kinds import Object

PATIENCE = 1.0
"""Seconds that a pod may be silent, to connect and to answer each; twice that for all."""

AT_ONCE = 32
"""Pods that are asked at the same time, over all Pipelines."""

LONGEST_ANSWER = 1 << 23
"""Bytes."""

FORGOTTEN_AFTER = 600.0
"""Seconds after which a silent pod that nobody asks any more is forgotten."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a pod answered, or since when it does not."""

    status: Object | None
    silent_since: float | None = None
    """Time of the first question without an answer since the last one with."""

    fault: str = ""


Ask = Callable[[Object], Object]
"""Asks one pod; raises where it does not answer."""


class Prober:
    """Asks pods, and remembers how long each has been silent.

    Args:
        ask: how one pod is asked.
        clock: time of day.

    """

    def __init__(self, ask: Ask, clock: Callable[[], float] = time.time) -> None:
        self._ask = ask
        self._clock = clock
        self._pool = ThreadPoolExecutor(AT_ONCE, "probe")
        self._silent: dict[str, tuple[float, float]] = {}  # uid -> since, last asked

    def ask(self, pods: Sequence[Object]) -> dict[str, Said]:
        """Ask pods all at once; what each said by its name."""
        answers = self._pool.map(self._ask_one, pods)
        return {pod["metadata"]["name"]: said for pod, said in zip(pods, answers, strict=True)}

    def _ask_one(self, pod: Object) -> Said:
        uid = pod["metadata"]["uid"]
        try:
            status = self._ask(pod)
        except (urllib3.exceptions.HTTPError, ClusterError, OSError, ValueError) as error:
            now = self._clock()
            since, _ = self._silent.get(uid, (now, now))
            self._silent[uid] = (since, now)
            self._forget(now)
            return Said(None, since, f"{type(error).__name__}: {error}")
        self._silent.pop(uid, None)
        return Said(status)

    def _forget(self, now: float) -> None:
        for uid, (_, asked) in list(self._silent.items()):
            if now - asked > FORGOTTEN_AFTER:
                self._silent.pop(uid, None)


def directly() -> Ask:
    """Ask pods at their own addresses."""
    timeout = urllib3.Timeout(connect=PATIENCE, read=PATIENCE)
    pool = urllib3.PoolManager(num_pools=256, timeout=timeout, retries=False)

    def ask(pod: Object) -> Object:
        address = (pod.get("status") or {}).get("podIP")
        if not address:
            raise ValueError("the pod has no address yet")
        host = f"[{address}]" if ":" in address else address
        deadline = time.monotonic() + 2 * PATIENCE
        url = f"http://{host}:{MANAGEMENT_PORT}/status"
        raw = pool.request("GET", url, preload_content=False)
        body = read_all(raw, deadline, LONGEST_ANSWER)
        if raw.status != 200:
            raise ValueError(f"{url} answered {raw.status}")
        status: Any = json.loads(body)
        if not isinstance(status, dict):
            raise ValueError(f"{url} answered something that is no object")  # noqa: TRY004 - as above
        return status

    return ask


def by_way_of(cluster: Cluster) -> Ask:
    """Ask pods through the API server, from outside of the cluster's network."""

    def ask(pod: Object) -> Object:
        head = pod["metadata"]
        return cluster.ask_pod(head["namespace"], head["name"], MANAGEMENT_PORT, "status")

    return ask
