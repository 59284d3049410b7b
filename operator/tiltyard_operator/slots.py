"""How many Pipelines may replace their pods at once for a cause that is not their own spec."""

import contextlib
import threading
from collections.abc import Iterator

from tiltyard_operator.cluster import Cluster
from tiltyard_operator.desired.metadata import MANAGED_BY, Owner, query
from tiltyard_operator.desired.workload import CAUSE, Cause
from tiltyard_operator.kinds import DEPLOYMENT, Object
from tiltyard_operator.observed import observe_workload

MOST = 10
"""A bad engine stops at so many Pipelines."""


class Slots:
    """Lets only so many begin. One process writes at a time, so a lock is enough.

    Args:
        cluster: the API server.
        namespaces: where Pipelines are; empty: everywhere.

    """

    def __init__(self, cluster: Cluster, namespaces: tuple[str, ...]) -> None:
        self._cluster = cluster
        self._namespaces = namespaces
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def one(self, owner: Owner) -> Iterator[bool]:
        """Hold the count while one more may begin; False: too many are under way."""
        with self._lock:
            yield sum(map(_is_rolling, self._others(owner))) < MOST

    def _others(self, owner: Owner) -> Iterator[Object]:
        for namespace in self._namespaces or (None,):
            for one in self._cluster.list(DEPLOYMENT, namespace, query(MANAGED_BY)).items:
                head = one["metadata"]
                if (head["namespace"], head["name"]) != (owner.namespace, owner.name):
                    yield one


def _is_rolling(deployment: Object) -> bool:
    """Whether pods are still replaced for a shared cause, or could not be."""
    workload = observe_workload(deployment)
    if workload is None or workload.annotations.get(CAUSE) != Cause.SHARED:
        return False
    finished = workload.settled and workload.updated == workload.current == workload.wanted
    return not finished or workload.available < workload.wanted
