"""Decides when and where calls run: in the event loop, stacked by turn, or in a thread.

Calls that one turn of the loop has decoded run together at its end, so that nobody waits for a
timer. A call that may take longer than a hand-over costs runs in a thread, together with what has
piled up meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

from tiltyard_engine.call import Call
from tiltyard_engine.dataplane import INLINE_SECONDS, Dataplane
from tiltyard_engine.errors import internal_failure
from tiltyard_engine.steps.base import Context

Done = Callable[[Call], None]

TURN_SECONDS = 2e-3
"""Most work of models in one turn of the loop; the rest waits for the next, after new reads."""

BATCH_SECONDS = 20e-3
"""Most work stacked for a thread at once: the last request of a batch waits for the first."""

WAITING_THREADS = 16
"""Threads of a Pipeline whose calls mostly wait (for challengers that answer)."""


@dataclass(slots=True)
class _Turn:
    """Calls of one Pipeline that this turn of the loop has decoded."""

    pairs: list[tuple[Call, Done]] = field(default_factory=list)
    seconds: float = 0.0
    """No less than they may take together."""


@dataclass(slots=True)
class _Backlog:
    """Calls of one Pipeline that wait for a thread."""

    limit: int
    waiting: deque[tuple[Call, Done]] = field(default_factory=deque)
    running: int = 0


class Scheduler:
    """Runs the calls of one worker."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context, cpus: int) -> None:
        self._loop = loop
        self._context = context
        self._watched = replace(context, watched=True)
        self._cpus = cpus
        self._turn: dict[Dataplane, _Turn] = {}
        self._flushing = False
        self._backlogs: dict[Dataplane, _Backlog] = {}
        self._pool = ThreadPoolExecutor(WAITING_THREADS + cpus, thread_name_prefix="run")

    def submit(self, plane: Dataplane, call: Call, done: Done) -> None:
        """Run a call; `done` is called in the loop when it has outputs or a refusal."""
        seconds = plane.seconds(call)
        if seconds > INLINE_SECONDS:
            backlog = self._backlogs.get(plane)
            if backlog is None:
                limit = WAITING_THREADS if plane.waits else max(2, self._cpus)
                backlog = self._backlogs[plane] = _Backlog(limit)
            backlog.waiting.append((call, done))
            self._feed(plane, backlog)
            return
        turn = self._turn.get(plane)
        if turn is None:
            turn = self._turn[plane] = _Turn()
        turn.pairs.append((call, done))
        turn.seconds += seconds
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """End the threads; nothing may be submitted any more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _flush(self) -> None:
        """End of the turn: run what it has decoded."""
        turn, self._turn = self._turn, {}
        self._flushing = False
        for plane, mine in turn.items():
            now = mine.pairs
            if mine.seconds > TURN_SECONDS:
                now, later = now[: (room := _affordable(plane, now))], now[room:]
                if later:
                    rest = self._turn.setdefault(plane, _Turn())
                    rest.pairs += later
                    rest.seconds += mine.seconds
            _run(plane, [call for call, _ in now], self._context)
            _tell(now)
        if self._turn and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _feed(self, plane: Dataplane, backlog: _Backlog) -> None:
        """Give free threads their share of what waits."""
        while backlog.waiting and backlog.running < backlog.limit:
            free = backlog.limit - backlog.running
            share = -(-len(backlog.waiting) // free)
            cost = plane.seconds(backlog.waiting[0][0])
            count = max(1, min(share, int(BATCH_SECONDS / max(cost, 1e-6))))
            pairs = [backlog.waiting.popleft() for _ in range(count)]
            backlog.running += 1
            future = self._pool.submit(_run, plane, [call for call, _ in pairs], self._watched)
            future.add_done_callback(
                lambda _future, pairs=pairs: self._loop.call_soon_threadsafe(  # type: ignore[misc]  # its default
                    self._finish, plane, backlog, pairs
                )
            )

    def _finish(self, plane: Dataplane, backlog: _Backlog, pairs: list[tuple[Call, Done]]) -> None:
        backlog.running -= 1
        self._feed(plane, backlog)
        _tell(pairs)


def _affordable(plane: Dataplane, pairs: Sequence[tuple[Call, Done]]) -> int:
    """How many calls one turn of the loop has time for; at least one."""
    spent = 0.0
    for count, (call, _) in enumerate(pairs):
        if spent > TURN_SECONDS:
            return count
        spent += plane.seconds(call)
    return len(pairs)


def _run(plane: Dataplane, calls: list[Call], context: Context) -> None:
    """Run calls; a fault of ours refuses them, since somebody waits for each."""
    try:
        plane.run(calls, context)
    except Exception as error:  # noqa: BLE001 - the last frame that knows the calls
        refusal = internal_failure(error)
        for call in calls:
            call.refusal = call.refusal or refusal


def _tell(pairs: Sequence[tuple[Call, Done]]) -> None:
    """Tell who waits that their calls have ended; a fault with one leaves nobody else waiting."""
    for call, done in pairs:
        try:
            done(call)
        except Exception as error:  # noqa: BLE001 - the others are to be told too
            internal_failure(error)
