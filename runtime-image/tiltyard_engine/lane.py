"""A challenger's lane: a bounded queue and one thread that runs what waits, in batches.

The champion never waits for a lane. A full queue drops the newest and counts it, since what is
left then is still a fair sample; a lane of its own for each challenger keeps one that hangs from
starving the others.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tiltyard_api.reasons import Reason
from tiltyard_engine.columns import Columns
from tiltyard_engine.comparison import Compare, Compared
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job, Ran, execute
from tiltyard_engine.mirrored import Answer, Batch, Part, settle
from tiltyard_engine.model import Model

QUEUE_BYTES = 32 << 20
"""Most bytes of inputs that wait."""

QUEUE_REQUESTS = 1024
"""Most requests that wait."""


class Account(Protocol):
    """Told from the lane's thread what became of requests."""

    def ran(self, requests: int, rows: int, seconds: float, nonfinite: int) -> None:
        """The model answered them in one call."""

    def compared(self, found: Compared) -> None:
        """Rows were compared with the champion's."""

    def failed(self, rows: int, seconds: float, reason: Reason) -> None:
        """The model failed one request."""

    def late(self, requests: int) -> None:
        """They waited too long, or whoever asked has given them up."""

    def shutdown(self, requests: int) -> None:
        """They still waited when the engine ended."""


Keep = Callable[[Part, Columns, Sequence[int]], None]
"""Given requests, what the challenger made of them, and rows that do not match."""

Record = Callable[[Sequence[str], Sequence[int], Columns], None]
"""Given ids, ends of rows and outputs, of requests of which some are recorded."""


@dataclass(slots=True)
class _Queue:
    batches: deque[Batch] = field(default_factory=deque)
    requests: int = 0
    bytes: int = 0
    spare: Batch | None = None
    """Room that a batch left, for the next."""

    running: Batch | None = None
    """The batch that the thread has taken and not yet told of."""

    closed: bool = False


class Lane:
    """Runs one challenger off the path of the answers."""

    def __init__(
        self,
        session: Model,
        timeout: float,
        account: Account,
        compare: Compare,
        record: Record | None = None,
        keep: Keep | None = None,
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._account = account
        self._compare = compare
        self._record = record
        self._keep = keep
        self._queue = _Queue()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def offer(self, part: Part, hold: Callable[[Part], Batch] = Batch.of) -> int:
        """Queue requests in order until the queue is full. Returns how many it took.

        They stay together only where rows may be stacked; `hold` takes those that join no others.
        """
        taken = 0
        with self._wake:
            for one in (part,) if self._session.batchable else part.singly():
                if not self._add(one, hold):
                    break
                taken += one.requests
            self._begin()
        return taken

    def ask(self, inputs: Columns, rows: int, answer: Answer) -> bool:
        """Queue a request whose outputs somebody waits for; None is its answer if that fails."""
        taken = self.offer(Part(inputs, {}, (0, rows), time.monotonic(), (answer,)))
        if not taken:
            answer.set_result(None)
        return taken == 1

    def close(self) -> None:
        """Drop what waits; the thread ends after its batch."""
        with self._wake:
            left, self._queue.batches = self._queue.batches, deque()
            self._queue.closed = True
            self._wake.notify()
        self._drop(left)

    def finish(self, deadline: float) -> None:
        """Wait for the thread until a moment of the monotonic clock; then give its batch up."""
        if self._thread:
            self._thread.join(max(deadline - time.monotonic(), 0))
        running = self._claim()
        self._drop((running,) if running else ())

    def _drop(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            self._account.shutdown(len(batch))
            settle(batch.answers)

    def _claim(self) -> Batch | None:
        """Take over telling what became of the batch: nobody may do so twice."""
        with self._wake:
            batch, self._queue.running = self._queue.running, None
        return batch

    def _add(self, part: Part, hold: Callable[[Part], Batch]) -> bool:
        """Put requests into the newest batch, or into a new one, where the queue has room."""
        queue = self._queue
        if queue.closed or queue.requests + part.requests > QUEUE_REQUESTS:
            return False
        if not (queue.batches and queue.batches[-1].add(part)):
            batch = self._batch(part) or hold(part)
            if queue.bytes + batch.bytes > QUEUE_BYTES:
                return False
            queue.batches.append(batch)
            queue.bytes += batch.bytes
        queue.requests += part.requests
        return True

    def _batch(self, part: Part) -> Batch | None:
        """Begin a batch that other requests may join, where rows may be stacked."""
        if not self._session.batchable:
            return None
        room, self._queue.spare = self._queue.spare, None
        if room and room.add(part):
            return room
        room = Batch.for_many(part)
        return room if room and room.add(part) else None

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="challenger", daemon=True)
            self._thread.start()
        self._wake.notify()

    def _run(self) -> None:
        while self._wait():
            while batch := self._take():
                self._run_batch(batch)

    def _wait(self) -> bool:
        """Sleep until there is something to run. False: there never will be."""
        with self._wake:
            while not self._queue.batches:
                if self._queue.closed:
                    return False
                self._wake.wait()
        return True

    def _take(self) -> Batch | None:
        """The oldest batch; None: all have run."""
        with self._wake:
            queue = self._queue
            if not queue.batches:
                return None
            batch = queue.running = queue.batches.popleft()
            queue.bytes -= batch.bytes
            queue.requests -= len(batch)
        return batch

    def _run_batch(self, batch: Batch) -> None:
        count = len(batch)
        late = batch.late(time.monotonic() - self._timeout)
        if batch.answers and all(answer.cancelled() for answer in batch.answers):
            late = count
        fresh = batch.part(late, count)
        outcome, took = self._execute(fresh) if fresh.requests else (None, 0.0)
        if not self._claim():
            return  # it took so long that it was given up
        self._account.late(late)
        if isinstance(outcome, Ran):
            self._ran(fresh, outcome, took)
        elif outcome:
            self._failed(fresh, outcome, took)
        settle(batch.answers)
        if batch.reusable:
            batch.clear()
            self._queue.spare = batch

    def _execute(self, part: Part) -> tuple[Ran | Refusal, float]:
        """Run requests in one call: what came of it, and seconds that it took."""
        start = time.perf_counter()
        outcome = execute(self._session, [Job(part.inputs, part.rows)], self._timeout)[0]
        return outcome, time.perf_counter() - start

    def _ran(self, part: Part, ran: Ran, took: float) -> None:
        if part.outputs:
            found = self._compare(part.outputs, ran.outputs, part.rows)
            self._account.compared(found)
            if self._keep and found.misses:
                self._keep(part, ran.outputs, found.misses)
        if self._record and part.ids:
            self._record(part.ids, part.ends, ran.outputs)
        # Last: once all that was offered has run, all has been compared.
        self._account.ran(part.requests, part.rows, took, ran.nonfinite)
        part.settle(ran.outputs)

    def _failed(self, part: Part, refusal: Refusal, took: float) -> None:
        """Blame the one request that there was; of several, find out which it is."""
        if part.requests == 1 or refusal.reason is Reason.MODEL_TIMEOUT:
            for rows in part.each_rows():
                self._account.failed(rows, took, refusal.reason)
            return
        for alone in part.singly():
            outcome, took = self._execute(alone)
            if isinstance(outcome, Ran):
                self._ran(alone, outcome, took)
            else:
                self._failed(alone, outcome, took)
