"""A challenger's lane: a bounded queue and one thread that runs what waits, in batches.

The champion never waits for a lane. A full queue drops the newest and counts it, since what is
left then is still a fair sample; a lane of its own for each challenger keeps one that hangs from
starving the others.
"""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from tiltyard_engine.call import Mirror
from tiltyard_engine.columns import Columns
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job, Ran, execute
from tiltyard_engine.model import Model

QUEUE_BYTES = 32 << 20
"""Most bytes of inputs that wait."""

QUEUE_REQUESTS = 1024
"""Most requests that wait."""

BATCH_ROWS = 64
"""Rows taken at once: beyond it a batch gains little and holds memory."""

GATHER_SECONDS = 0.002
"""Pause before a batch is taken where nobody waits: each batch fights the answers for the
interpreter once, so that few large ones cost the champion less than many small ones."""

LOWEST_PRIORITY = 19
"""Nice value of a lane whose answers nobody waits for: it gets what cores are left over."""


@dataclass(slots=True)
class Work:
    """One request in a lane."""

    mirror: Mirror
    answer: Future[Columns | None] | None = None
    """Where someone waits for the outputs."""

    offered: float = field(default_factory=time.monotonic)

    @property
    def bytes(self) -> int:
        """Memory that it holds while it waits."""
        return _bytes(self.mirror.inputs) + _bytes(self.mirror.outputs)


@dataclass(frozen=True, slots=True)
class LaneEvents:
    """Called from the lane's thread with what became of each request."""

    ran: Callable[[Mirror, Ran, float], None]
    failed: Callable[[Mirror, Refusal, float], None]
    late: Callable[[], None]
    shutdown: Callable[[], None]


@dataclass(slots=True)
class _Queue:
    waiting: deque[Work] = field(default_factory=deque)
    bytes: int = 0
    running: Sequence[Work] = ()
    """The batch that the thread has taken and not yet told of."""

    closed: bool = False


class Lane:
    """Runs one challenger off the path of the answers."""

    def __init__(
        self, session: Model, timeout: float, events: LaneEvents, *, nice: int = LOWEST_PRIORITY
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._events = events
        self._nice = nice
        self._queue = _Queue()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def offer(self, works: Sequence[Work]) -> int:
        """Queue requests in order until the queue is full. Returns how many it took."""
        taken = 0
        with self._wake:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="challenger", daemon=True)
                self._thread.start()
            queue = self._queue
            for work in works:
                size = work.bytes
                full = len(queue.waiting) >= QUEUE_REQUESTS or queue.bytes + size > QUEUE_BYTES
                if full or queue.closed:
                    break
                queue.waiting.append(work)
                queue.bytes += size
                taken += 1
            self._wake.notify()
        for work in works[taken:]:
            _settle(work, None)
        return taken

    def close(self) -> None:
        """Drop what waits; the thread ends after its batch."""
        with self._wake:
            left, self._queue.waiting = self._queue.waiting, deque()
            self._queue.closed = True
            self._wake.notify()
        self._drop(left)

    def finish(self, deadline: float) -> None:
        """Wait for the thread until a moment of the monotonic clock; then give its batch up."""
        if self._thread:
            self._thread.join(max(deadline - time.monotonic(), 0))
        self._drop(self._claim())

    def _drop(self, works: Iterable[Work]) -> None:
        for work in works:
            self._events.shutdown()
            _settle(work, None)

    def _claim(self) -> Sequence[Work]:
        """Take over telling what became of the batch: nobody may do so twice."""
        with self._wake:
            batch, self._queue.running = self._queue.running, ()
        return batch

    def _run(self) -> None:
        if self._nice:
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), self._nice)
        while True:
            with self._wake:
                while not self._queue.waiting:
                    if self._queue.closed:
                        return
                    self._wake.wait()
            if self._nice:
                time.sleep(GATHER_SECONDS)
            with self._wake:
                batch = self._queue.running = self._take()
            self._run_batch(batch)

    def _take(self) -> list[Work]:
        """The oldest requests that wait, up to the rows of one batch; one where none stack."""
        queue, batch, rows = self._queue, list[Work](), 0
        most = BATCH_ROWS if self._session.batchable else 0
        while queue.waiting and (not batch or rows + queue.waiting[0].mirror.rows <= most):
            work = queue.waiting.popleft()
            queue.bytes -= work.bytes
            rows += work.mirror.rows
            batch.append(work)
        return batch

    def _run_batch(self, batch: Sequence[Work]) -> None:
        oldest = time.monotonic() - self._timeout
        fresh, late = list[Work](), list[Work]()
        for work in batch:
            given_up = work.answer is not None and work.answer.cancelled()
            (late if given_up or work.offered < oldest else fresh).append(work)
        start = time.perf_counter()
        jobs = [Job(work.mirror.inputs, work.mirror.rows) for work in fresh]
        outcomes = execute(self._session, jobs, self._timeout) if jobs else []
        took = time.perf_counter() - start
        if not self._claim():
            return  # it took so long that it was given up
        for work in late:
            self._events.late()
            _settle(work, None)
        for work, outcome in zip(fresh, outcomes, strict=True):
            self._tell(work, outcome, took)

    def _tell(self, work: Work, outcome: Ran | Refusal, took: float) -> None:
        if isinstance(outcome, Ran):
            self._events.ran(work.mirror, outcome, took)
            _settle(work, outcome.outputs)
        else:
            self._events.failed(work.mirror, outcome, took)
            _settle(work, None)


def _settle(work: Work, outputs: Columns | None) -> None:
    if work.answer and work.answer.set_running_or_notify_cancel():
        work.answer.set_result(outputs)


def _bytes(columns: Columns) -> int:
    return sum(
        sum(row.nbytes for row in column) if isinstance(column, list) else column.nbytes
        for column in columns.values()
    )
