"""The process that runs a worker's challengers, at the lowest priority, for nobody waits for it.

A process of its own, so that a challenger that crashes, hangs or is dear takes neither the
interpreter nor the life of the worker that answers. Each worker has one; a ring of shared memory
leads there. What it counts, it alone counts.
"""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from tiltyard_api.plan import PlanShadow
from tiltyard_engine.comparison import comparer
from tiltyard_engine.counters import Block
from tiltyard_engine.disagreements import Kept, Slates
from tiltyard_engine.lane import Keep, Lane, Record
from tiltyard_engine.mirrored import Batch
from tiltyard_engine.outbox import Inbox, LaneKey, logged
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.record import ChallengerAccount, ShadowCounter, VariantCounter
from tiltyard_engine.ring import Ring
from tiltyard_engine.slate import Slate

LOWEST_PRIORITY = 19
"""Nice value: what cores are left over."""

GATHER_SECONDS = 0.02
"""Pause between two looks while requests come: the worker need not wake anybody then, and what
shares its core is woken seldom."""

IDLE_SECONDS = 60.0
"""A look without being woken, now and then."""

JOURNAL = 3
"""Notes in front of one for each lane: record, lane and value of the note taken last, so that a
process that takes over from a killed one knows exactly what had been noted."""

LANE_SECONDS = 1.0
"""How long the end waits for challengers that run, however many hang."""


def needs_challengers(loaded: Sequence[Loaded]) -> bool:
    """Whether any challenger's answers are waited for by nobody."""
    return any(True for _ in logged([one.plan for one in loaded]))


def make_ring(loaded: Sequence[Loaded], block: Block) -> Ring:
    """Make the way to a process of challengers; what an earlier engine left unsaid is counted."""
    keys = [key for key, _, _ in logged([one.plan for one in loaded])]
    ring = Ring(notes=JOURNAL + len(keys))
    for number, key in enumerate(keys):
        counter = _counter(block, key)
        counter.crashed(counter.open())
        ring.notes[JOURNAL + number] = counter.ended()
    return ring


def run_challengers(
    loaded: Sequence[Loaded],
    block: Block,
    ring: Ring,
    records: Mapping[LaneKey, Record],
    slates: Slates,
) -> None:
    """Run until SIGTERM; what challengers give is told where it is recorded, or kept."""
    os.nice(LOWEST_PRIORITY)
    challengers = Challengers(loaded, block, ring, records, slates)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: challengers.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor says when
    challengers.serve()


class Challengers:
    """The lanes of one worker's challengers, and what feeds them."""

    def __init__(
        self,
        loaded: Sequence[Loaded],
        block: Block,
        ring: Ring,
        records: Mapping[LaneKey, Record] = MappingProxyType({}),
        slates: Slates = MappingProxyType({}),
    ) -> None:
        plans = [one.plan for one in loaded]
        sessions = {one.plan.pipeline: one.sessions for one in loaded}
        self._ring = ring
        self._inbox = Inbox(plans)
        self._ended = False
        self._recover()
        self._lanes: list[Lane] = []
        self._counters: list[ShadowCounter] = []
        for number, (key, _plan, step) in enumerate(logged(plans)):
            session = sessions[key.pipeline][key.challenger]
            session.after_fork()
            counter = _counter(block, key)
            counter.crashed(ring.notes[JOURNAL + number] - counter.ended())
            account = ChallengerAccount(VariantCounter(block, key), counter)
            keep = _keeper(step, slates.get(key))
            lane = Lane(session, step.timeout, account, comparer(step), records.get(key), keep)
            self._lanes.append(lane)
            self._counters.append(counter)

    def serve(self) -> None:
        """Run what comes until told to stop; what waits then is counted as dropped."""
        while not self._ended:
            self._ring.sleep(IDLE_SECONDS)
            while self._deliver() and not self._ended:
                time.sleep(GATHER_SECONDS)
        deadline = time.monotonic() + LANE_SECONDS
        for lane in self._lanes:
            lane.close()
        self._deliver()  # closed lanes take nothing
        for lane in self._lanes:
            lane.finish(deadline)

    def stop(self) -> None:
        """End soon; from any thread."""
        self._ended = True
        self._ring.wake()

    def _note(self, lane: int, requests: int) -> None:
        """Note that requests of the oldest record have come this far."""
        notes = self._ring.notes
        value = notes[JOURNAL + lane] + requests
        notes[1], notes[2] = lane, value
        notes[0] = self._ring.consumed + 1  # last: from here on the note counts
        notes[JOURNAL + lane] = value

    def _recover(self) -> None:
        """Leave out a record that a process before us had noted and may have died of."""
        notes = self._ring.notes
        if notes[0] == self._ring.consumed + 1:
            notes[JOURNAL + notes[1]] = notes[2]
            self._ring.done()

    def _deliver(self) -> int:
        """Put into lanes what has come. Returns how many records there were."""
        records = 0
        while (record := self._ring.get()) is not None:
            number, part = self._inbox.read(record)
            self._note(number, part.requests)
            left = part.requests - self._lanes[number].offer(part, Batch.copy_of)
            if self._ended:
                self._counters[number].shutdown(left)
            else:
                self._counters[number].full(left)
            self._ring.done()
            records += 1
        return records


def _keeper(step: PlanShadow, slate: Slate | None) -> Keep | None:
    return Kept(step.compare_output, slate).saw if slate and step.compare_output else None


def _counter(block: Block, key: LaneKey) -> ShadowCounter:
    return ShadowCounter(block, key)
