"""One operator at a time: a Lease says which. `bid` decides, `Elector` asks and writes."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from tiltyard_operator.cluster import Cluster
from tiltyard_operator.errors import ClusterError, Conflict
from tiltyard_operator.kinds import LEASE, Object
from tiltyard_operator.log import log

NAME = "tiltyard-operator"

DURATION = 15
"""Seconds without a renewal after which another operator may take the Lease."""

HELD_FOR = 10.0
"""Seconds after a renewal during which its holder writes. Shorter than the duration: a write
that was sent at the last moment shall have arrived before anybody else writes."""

RENEW_EVERY = 3.0
"""Seconds; also how often one that waits looks."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How long the Lease has looked as it looks now, by the looker's own clock.

    Clocks of two machines are never compared.
    """

    version: str
    since: float


def bid(lease: Object, me: str, sight: Sight, now: float, stamp: str) -> Object | None:
    """Say what the Lease must become to be mine; None where it is another's.

    Args:
        lease: as it is.
        me: name of this operator's pod.
        sight: since when it has been so.
        now: the same clock.
        stamp: what to write as the time.

    """
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    expired = now - sight.since > float(spec.get("leaseDurationSeconds") or DURATION)
    if holder not in ("", me) and not expired:
        return None
    mine = {"holderIdentity": me, "leaseDurationSeconds": DURATION, "renewTime": stamp}
    if holder != me:
        transitions = int(spec.get("leaseTransitions") or 0) + 1
        mine |= {"acquireTime": stamp, "leaseTransitions": transitions}
    return lease | {"spec": spec | mine}


def released(lease: Object) -> Object:
    """The Lease as its holder leaves it: anybody's."""
    return lease | {"spec": lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}}


class Elector:
    """Holds the Lease, or waits for it.

    Args:
        cluster: for the Lease alone, with short bounds.
        namespace: where it lies.
        me: name of this operator's pod.
        clock: seconds that only grow.

    """

    def __init__(
        self, cluster: Cluster, namespace: str, me: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._me = me
        self._clock = clock
        self._sight = Sight("", clock())
        self._until: float | None = None
        self.turned = clock()
        """When it last looked, with or without success."""

        self.answered = threading.Event()
        """The API server has told who has the Lease."""

        self.acquired = threading.Event()
        self.lost = threading.Event()
        """Another operator has it, after this one had."""

    def holds(self) -> bool:
        """Whether this operator may write."""
        until = self._until  # another thread may take it away in between
        return until is not None and self._clock() < until

    @property
    def renewed(self) -> float | None:
        """When the Lease was last written; None: never."""
        until = self._until
        return None if until is None else until - HELD_FOR

    def run(self, stop: threading.Event) -> None:
        """Take the Lease, keep it, and give it back at the end."""
        while not stop.is_set() and not self.lost.is_set():
            try:
                self.step()
            except ClusterError as error:  # what is held runs out by itself
                log("the Lease could not be read or written", error=str(error))
            self.turned = self._clock()
            stop.wait(RENEW_EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - jitter
        self._release()

    def step(self) -> None:
        """Look at the Lease once, and take or renew it where that may be."""
        now = self._clock()
        lease = self._cluster.get(LEASE, self._namespace, NAME)
        if lease is None:
            lease = self._cluster.create(self._blank())
        self.answered.set()
        version = lease["metadata"]["resourceVersion"]
        if version != self._sight.version:
            self._sight = Sight(version, now)
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        wanted = bid(lease, self._me, self._sight, now, stamp)
        if wanted is None:
            self._give_up()
            return
        try:
            self._cluster.replace(wanted)
        except Conflict:
            return  # somebody wrote it in between; what it says is read in the next turn
        self._until = now + HELD_FOR  # from before the read: the server's time is not later
        self.acquired.set()

    def _give_up(self) -> None:
        if self.acquired.is_set():
            self._until = None
            self.lost.set()

    def _release(self) -> None:
        if not self.holds():
            return
        try:
            lease = self._cluster.get(LEASE, self._namespace, NAME)
            if lease and lease["spec"].get("holderIdentity") == self._me:
                self._until = None
                self._cluster.replace(released(lease))
        except ClusterError as error:
            log("the Lease could not be given back; it runs out", error=str(error))

    def _blank(self) -> Object:
        return {
            "apiVersion": LEASE.api_version,
            "kind": LEASE.kind,
            "metadata": {"namespace": self._namespace, "name": NAME},
            "spec": {},
        }
