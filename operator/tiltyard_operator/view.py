"""What one look at an object reads: nothing twice, and less where the watches told what there is.

A read that is old does no harm: an event, or the next look, follows it, and each write carries the
version that it was judged by.
"""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tiltyard_operator.cluster import Cluster
from tiltyard_operator.desired.metadata import MANAGED_BY
from tiltyard_operator.errors import Unavailable
from tiltyard_operator.kinds import (
    AUTOSCALER,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD_MONITOR,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    Kind,
    Object,
    kind_of,
    version_of,
)

KEPT = (
    AUTOSCALER,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD_MONITOR,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
)
"""Kinds that are small, and of which nothing is judged but whether they still are as they were
applied."""

KEPT_FOR = 50.0
"""Seconds that what was seen is believed, as an event may have been lost. Looks that come by the
clock, each minute, read everything anew."""

Place = tuple[Kind, str, str]


class Memory:
    """The last state that was seen of owned objects, by reads and by watches. For many threads.

    What no watch of ours would tell of is not remembered: objects of others, and that there is
    none of a name.

    Args:
        clock: seconds that only grow.

    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[Place, Sight] = {}
        self._newest: dict[Kind, int] = {}

    def watched(self, event: str | None, obj: Object) -> None:
        """Take what a watch told."""
        self.reached(kind_of(obj), version_of(obj))
        if event == "DELETED":
            self.forget(place_of(obj))
        else:
            self.note(obj)

    def note(self, obj: Object) -> None:
        """Take what a read, a write or a watch showed, unless something newer is known."""
        place = place_of(obj)
        self.reached(place[0], version_of(obj))
        if place[0] not in KEPT or not _is_watched(obj):
            return
        head = {name: one for name, one in obj["metadata"].items() if name != "managedFields"}
        seen = Sight(self._clock(), version_of(obj), json.dumps({**obj, "metadata": head}))
        with self._lock:
            known = self._seen.get(place)
            if known is None or known.age <= seen.age:
                self._seen[place] = seen

    def get(self, place: Place) -> Object | None:
        """Give what is known and fresh; None: it has to be read."""
        with self._lock:
            known = self._seen.get(place)
        if known is None or self._clock() - known.at >= KEPT_FOR:
            return None
        found: Object = json.loads(known.text)
        return found

    def forget(self, place: Place) -> None:
        """Know nothing of an object."""
        with self._lock:
            self._seen.pop(place, None)

    def clear(self) -> None:
        """Know nothing at all."""
        with self._lock:
            self._seen, self._newest = {}, {}

    def reached(self, kind: Kind, version: int) -> None:
        """Take note that the objects of a kind were seen as of a version."""
        with self._lock:
            self._newest[kind] = max(version, self._newest.get(kind, 0))

    def newest(self, kind: Kind) -> int:
        """Version of a kind that was seen, by which no later list may be older; 0: none was."""
        with self._lock:
            return self._newest.get(kind, 0)


@dataclass(frozen=True, slots=True)
class Sight:
    """An object as it was seen."""

    at: float
    age: int
    """Its resourceVersion, which grows; 0 where it is no number."""

    text: str
    """JSON, which takes a tenth of the room."""


@dataclass(slots=True)
class View:
    """The cluster as one look sees it. For one thread.

    Args:
        cluster: the API server.
        memory: what earlier looks and watches saw.

    """

    cluster: Cluster
    memory: Memory
    _read: dict[Place, Object | None] = field(default_factory=dict)

    def get(self, kind: Kind, namespace: str, name: str) -> Object | None:
        """Give an object; None where there is none. It is read where it is not known."""
        place = (kind, namespace, name)
        if place not in self._read:
            self._read[place] = self.memory.get(place) or self._get(place)
        return self._read[place]

    def list(self, kind: Kind, namespace: str, labels: str) -> list[Object]:
        """Read the objects of a namespace that have certain labels, as new as what was seen."""
        try:
            found = self.cluster.list(kind, namespace, labels, self.memory.newest(kind))
        except Unavailable:
            self.memory.clear()  # where etcd went back to a snapshot, no version is reached again
            raise
        self.memory.reached(kind, found.version)
        self._read |= {place_of(one): one for one in found.items}
        return found.items

    def apply(self, obj: Object) -> Object:
        """Make every field of an object so; see `Cluster.apply`."""
        self._forget(obj)
        made = self.cluster.apply(obj)
        self._read[place_of(made)] = made
        self.memory.note(made)
        return made

    def create(self, obj: Object) -> Object:
        """Create what must not be there yet; see `Cluster.create`."""
        self._forget(obj)
        made = self.cluster.create(obj)
        self.memory.note(made)
        return made

    def delete(self, obj: Object) -> None:
        """Delete this very object; see `Cluster.delete`."""
        self._forget(obj)
        self.cluster.delete(obj)

    def _get(self, place: Place) -> Object | None:
        found = self.cluster.get(*place)
        if found:
            self.memory.note(found)
        return found

    def _forget(self, obj: Object) -> None:
        """Forget an object before it is written: should that fail, it has to be read anew."""
        self._read.pop(place_of(obj), None)
        self.memory.forget(place_of(obj))


def place_of(obj: Object) -> Place:
    """Kind, namespace and name of an object."""
    head = obj["metadata"]
    return kind_of(obj), head["namespace"], head["name"]


def _is_watched(obj: Object) -> bool:
    return MANAGED_BY.items() <= (obj["metadata"].get("labels") or {}).items()
