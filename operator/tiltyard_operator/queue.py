"""Which object is to be looked at next: each once at a time, and again after what went wrong.

`Schedule` decides and knows neither clock nor threads; `Queue` lets threads wait for it.
"""

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from random import random

from tiltyard_operator.kinds import Kind

FIRST_PAUSE = 0.2
"""Seconds before the second attempt at an object; each later pause is twice as long."""

LONGEST_PAUSE = 20.0
"""Seconds: so soon is everything tried again once the API server is back."""


@dataclass(frozen=True, slots=True)
class Key:
    """An object to be reconciled."""

    kind: Kind
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind.kind} {self.namespace}/{self.name}"


class Lane(IntEnum):
    """Who is served first where several wait."""

    PROMPT = 0
    """Somebody changed a Pipeline or a Model just now."""

    PATIENT = 1
    """Nobody waits for it: what a start finds, a second look, another attempt."""


@dataclass(slots=True)
class Entry:
    """What is known of one object."""

    lane: Lane | None = None
    """Where it waits for a worker; None: it does not."""

    due: float | None = None
    """When it shall be looked at by itself."""

    running: bool = False
    dirty: Lane | None = None
    """It was added while it ran, so that the run may have missed what changed."""

    failures: int = 0
    """Attempts that failed since the last that did not."""

    not_before: float = 0.0
    """The API server asked us to stay away until then."""


class Schedule:
    """The order of work. Not for several threads at once.

    Args:
        chance: number in [0, 1) that spreads the retries of many objects over time.

    """

    def __init__(self, chance: Callable[[], float] = random) -> None:
        self._chance = chance
        self._entries: dict[Key, Entry] = {}
        self._lanes: dict[Lane, dict[Key, None]] = {lane: {} for lane in Lane}
        self._later: list[tuple[float, int, Key]] = []
        self._counter = 0  # keys have no order of their own

    def add(self, key: Key, lane: Lane, now: float) -> None:
        """Look at an object as soon as may be."""
        entry = self._entries.setdefault(key, Entry())
        if entry.running:
            entry.dirty = lane if entry.dirty is None else min(lane, entry.dirty)
        elif now < entry.not_before:
            self._set_due(key, entry, entry.not_before)
        elif entry.lane is None or lane < entry.lane:
            self._line_up(key, entry, lane)

    def add_at(self, key: Key, due: float) -> None:
        """Look at an object at a time, or before it."""
        entry = self._entries.setdefault(key, Entry())
        if entry.lane is None:
            self._set_due(key, entry, max(due, entry.not_before))

    def take(self, now: float) -> Key | None:
        """Object to be looked at now; it is the taker's until `done` or `failed`."""
        while self._later and self._later[0][0] <= now:
            due, _, key = heapq.heappop(self._later)
            entry = self._entries.get(key)
            if entry is None or entry.due != due:
                continue  # it went, or has another time by now
            entry.due = None
            self.add(key, Lane.PATIENT, now)
        for lane in self._lanes.values():
            for key in lane:
                del lane[key]
                entry = self._entries[key]
                entry.lane, entry.running, entry.due = None, True, None
                return key
        return None

    def done(self, key: Key, now: float, again_in: float | None) -> None:
        """Say that all went well, and when to look again where nothing changes."""
        entry = self._entries[key]
        entry.failures, entry.not_before = 0, 0.0
        self._let_go(key, entry, now)
        if again_in is not None:
            self.add_at(key, now + again_in)
        elif entry.lane is None and entry.due is None:
            del self._entries[key]  # objects that are gone leave nothing behind

    def failed(self, key: Key, now: float, retry_after: float | None) -> None:
        """Say that it went wrong: it is tried again, the later the more often it did."""
        entry = self._entries[key]
        pause = min(FIRST_PAUSE * 2.0**entry.failures, LONGEST_PAUSE)
        entry.failures = min(entry.failures + 1, 30)
        entry.not_before = now + (retry_after or 0.0)
        spread = pause * (0.5 + self._chance() / 2)
        self._let_go(key, entry, now)
        self.add_at(key, max(now + spread, entry.not_before))

    def waiting(self) -> int:
        """How many objects wait for a worker."""
        return sum(len(lane) for lane in self._lanes.values())

    def next_due(self) -> float | None:
        """When `take` may have something that it has not now."""
        return self._later[0][0] if self._later else None

    def _let_go(self, key: Key, entry: Entry, now: float) -> None:
        dirty, entry.running, entry.dirty = entry.dirty, False, None
        if dirty is not None:
            self.add(key, dirty, now)

    def _line_up(self, key: Key, entry: Entry, lane: Lane) -> None:
        if entry.lane is not None:
            del self._lanes[entry.lane][key]
        entry.lane, entry.due = lane, None
        self._lanes[lane][key] = None

    def _set_due(self, key: Key, entry: Entry, due: float) -> None:
        if entry.due is None or due < entry.due:
            entry.due = due
            self._counter += 1
            heapq.heappush(self._later, (due, self._counter, key))


class Queue:
    """A schedule that threads share."""

    def __init__(self) -> None:
        self._schedule = Schedule()
        self._changed = threading.Condition()
        self._closed = False

    def add(self, key: Key, lane: Lane = Lane.PROMPT) -> None:
        """Look at an object as soon as may be."""
        with self._changed:
            self._schedule.add(key, lane, time.monotonic())
            self._changed.notify()

    def add_in(self, key: Key, seconds: float) -> None:
        """Look at an object in so many seconds, or before."""
        with self._changed:
            self._schedule.add_at(key, time.monotonic() + seconds)
            self._changed.notify()

    def take(self) -> Key | None:
        """Wait for the next object; None when the queue is closed."""
        with self._changed:
            while not self._closed:
                key = self._schedule.take(time.monotonic())
                if key is not None:
                    return key
                due = self._schedule.next_due()
                self._changed.wait(None if due is None else max(0.0, due - time.monotonic()))
            return None

    def done(self, key: Key, again_in: float | None) -> None:
        """See `Schedule.done`."""
        with self._changed:
            self._schedule.done(key, time.monotonic(), again_in)
            self._changed.notify()

    def failed(self, key: Key, retry_after: float | None = None) -> None:
        """See `Schedule.failed`."""
        with self._changed:
            self._schedule.failed(key, time.monotonic(), retry_after)
            self._changed.notify()

    def waiting(self) -> int:
        """How many objects wait for a worker."""
        with self._changed:
            return self._schedule.waiting()

    def close(self) -> None:
        """Hand out nothing any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
