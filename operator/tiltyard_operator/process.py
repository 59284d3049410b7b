"""The process: its parts, the order in which they start, and how they end."""

import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial

from tiltyard_operator.cluster import Bounds, Cluster, credentials, find_configuration
from tiltyard_operator.errors import ClusterError
from tiltyard_operator.face import Face, Health, lifeless
from tiltyard_operator.handlers import Handler, Handlers
from tiltyard_operator.kinds import LEASE, MODEL, OWNED, PIPELINE, POD_MONITOR, Kind
from tiltyard_operator.lease import Elector
from tiltyard_operator.log import log
from tiltyard_operator.probe import PATIENCE, Ask, Prober, by_way_of, directly
from tiltyard_operator.queue import Key, Queue
from tiltyard_operator.resync import names_of, resync
from tiltyard_operator.settings import Settings
from tiltyard_operator.view import Memory
from tiltyard_operator.watching import Watches
from tiltyard_operator.workers import Reconcile, Workers

GRACE = 25.0
"""Seconds that reconciles under way may take to end after SIGTERM; a pod has 30."""

LOOKS_EVERY = 0.2
"""Seconds between two looks at whether anything ended."""

LEASE_BOUNDS = Bounds(connect=1.5, silence=2.0, total=4.0)
"""Reading and writing the Lease end, whatever the server does, while it is still held."""

Assemble = Callable[[Cluster, Prober, Memory], Mapping[Kind, Reconcile]]
"""Makes what reconciles each kind of key."""


class Operator:
    """Everything that runs, and how it ends.

    Args:
        settings: of this process.
        assemble: makes the reconcilers.

    """

    def __init__(self, settings: Settings, assemble: Assemble) -> None:
        self._settings = settings
        self._ended = threading.Event()
        self._over = threading.Event()
        lease_cluster = Cluster(find_configuration(), lambda: True, LEASE_BOUNDS, connections=1)
        self._elector = Elector(lease_cluster, settings.lease_namespace, settings.pod_name)
        self._cluster = Cluster(
            find_configuration(), self._elector.holds, connections=settings.workers + 2
        )
        self._health = Health()
        self._queue = Queue()
        memory = Memory()
        self._handlers = Handlers(self._queue, self._health, memory)
        reconcilers = assemble(self._cluster, Prober(self._ask()), memory)
        self._workers = Workers(self._queue, reconcilers, settings.workers)
        self._face = Face(settings.port, self._live, lambda: self._health.waits_for)

    def run(self) -> int:
        """Work until a signal comes; the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._ended.set())
        self._face.start()
        log("started", port=self._face.port, namespaces=self._settings.namespaces or "all")
        elector = threading.Thread(target=self._elector.run, args=[self._over], name="lease")
        elector.start()
        try:
            failed = self._lead() if self._elected() else None
        finally:
            self._over.set()
            elector.join()
            self._face.stop()
        log("ended", error=failed) if failed else log("ended")
        return 1 if failed else 0

    def _elected(self) -> bool:
        """Wait for the Lease; False where the process is to end before it comes."""
        told = False
        while not self._elector.acquired.is_set():
            if self._elector.answered.is_set() and not told:
                told = True
                self._health.waits_for = ""  # one that stands by is as ready as it can be
                log("waiting for the Lease", namespace=self._settings.lease_namespace)
            if self._ended.wait(LOOKS_EVERY):
                return False
        self._health.waits_for = "the CustomResourceDefinitions"
        log("has the Lease")
        return True

    def _lead(self) -> str | None:
        """Reconcile until the end; why it ended, None where a signal asked for it."""
        kinds = self._watched()
        if kinds is None:
            return self._lost()
        login = partial(credentials, find_configuration())
        watches = Watches(login, kinds, self._settings.namespaces, self._ended)
        self._health.seen = time.monotonic()
        self._workers.start()
        watches.start()
        period = self._settings.resync
        threading.Thread(
            target=resync, args=(self._everything, self._queue, period, self._over), daemon=True
        ).start()
        self._health.waits_for = ""
        log("watching", kinds=len(kinds))
        while not self._ended.wait(LOOKS_EVERY) and not self._elector.lost.is_set():
            pass
        log("ending")
        watches.stop()
        if not self._workers.finish(GRACE):
            return "a reconcile did not end in time"
        return self._lost() or watches.failed

    def _lost(self) -> str | None:
        return "another operator has the Lease" if self._elector.lost.is_set() else None

    def _watched(self) -> Mapping[Kind, Handler] | None:
        """What to watch, once Pipelines and Models can be listed; None: the process is to end."""
        said = ""
        while True:
            try:
                self._everything()
                return self._subscriptions()
            except ClusterError as error:
                if str(error) != said:
                    said = str(error)
                    log("waiting until Pipelines and Models can be listed", error=said)
            if self._ended.wait(2) or self._elector.lost.is_set():
                return None

    def _everything(self) -> list[Key]:
        self._handlers.forget()
        return names_of(self._cluster, self._settings.namespaces)

    def _subscriptions(self) -> Mapping[Kind, Handler]:
        handlers = self._handlers
        optional = (POD_MONITOR,) if self._cluster.serves(POD_MONITOR) else ()
        return {
            PIPELINE: handlers.pipeline,
            MODEL: handlers.model,
            LEASE: handlers.lease,
            **{kind: handlers.owned(kind) for kind in (*OWNED, *optional)},
        }

    def _ask(self) -> Ask:
        if not self._settings.pod_proxy:
            return directly()
        bounds = Bounds(connect=PATIENCE, silence=PATIENCE, total=2 * PATIENCE)
        return by_way_of(Cluster(find_configuration(), lambda: False, bounds, connections=32))

    def _live(self) -> str:
        elector = self._elector
        return lifeless(elector.turned, elector.renewed, self._health.seen, time.monotonic())
