"""Threads that take keys from the queue and reconcile what they name."""

import threading
import time
import traceback
from collections.abc import Callable, Mapping

from tiltyard_operator.errors import ClusterError, Conflict, Refused, Unavailable
from tiltyard_operator.kinds import Kind
from tiltyard_operator.log import about, log
from tiltyard_operator.metrics import QUEUE_DEPTH, RECONCILE_SECONDS, RECONCILES
from tiltyard_operator.queue import Key, Queue

Reconcile = Callable[[Key], float | None]
"""Makes the cluster be what one object says. Returns in how many seconds to look again where
nothing changes; None: not before the next resync. What it raises is tried again, with pauses."""


class Workers:
    """A bounded number of threads.

    Args:
        queue: what they take from.
        reconcilers: what to do with each kind of key.
        threads: how many.

    """

    def __init__(self, queue: Queue, reconcilers: Mapping[Kind, Reconcile], threads: int) -> None:
        self._queue = queue
        self._reconcilers = reconcilers
        self._threads = [
            threading.Thread(target=self._run, name=f"worker-{number}", daemon=True)
            for number in range(threads)
        ]
        QUEUE_DEPTH.set_function(queue.waiting)

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def finish(self, seconds: float) -> bool:
        """Let what is under way end, and take nothing new; whether all ended in time."""
        self._queue.close()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while (key := self._queue.take()) is not None:
            with about(str(key)):
                self._attend(key)

    def _attend(self, key: Key) -> None:
        started = time.monotonic()
        try:
            again_in = self._reconcilers[key.kind](key)
        except Unavailable as error:
            result = "unavailable"
            self._queue.failed(key, error.retry_after)
            log("the API server was not there for a reconcile", error=str(error))
        except ClusterError as error:
            result = "conflict" if isinstance(error, Conflict) else "refused"
            self._queue.failed(key)
            if isinstance(error, Refused):
                log("the API server refused what a reconcile wanted", error=str(error))
        except Exception as error:  # noqa: BLE001 - one object's fault must not stop the others
            result = "error"
            self._queue.failed(key)
            log("a reconcile failed", error=repr(error), traceback=traceback.format_exc())
        else:
            result = "ok"
            self._queue.done(key, again_in)
        RECONCILES.labels(key.kind.kind, result).inc()
        RECONCILE_SECONDS.labels(key.kind.kind).observe(time.monotonic() - started)
