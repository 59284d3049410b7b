"""Counts the units of canaries in one worker, and takes a bad candidate out of the way at once.

It runs in the event loop, after the answer was written. Each worker judges by what all workers of
the engine have counted, as soon as something bad was counted, so that no other process, operator
or API server is needed to stop a candidate.
"""

import time
from collections.abc import Callable, Sequence

from tiltyard_api.plan import Plan, PlanCanary
from tiltyard_api.routing import CanaryRouting
from tiltyard_api.v1alpha1.stage import Guard, Latch
from tiltyard_core.guards import engine_latch
from tiltyard_core.units import sampled
from tiltyard_engine.call import Call, Run, Served
from tiltyard_engine.canaries import (
    CANDIDATE,
    ROLES,
    ROW,
    STABLE,
    UNITS,
    CanaryCells,
    latched,
    totals,
)
from tiltyard_engine.counters import Block
from tiltyard_engine.log import log
from tiltyard_engine.record import Recorder
from tiltyard_engine.steps.canary import CanaryStep

LOOK_AFTER = 64
"""Counts are judged anew once a 64th more of bad units are known; at first after each."""

_BAD = [(role, guard.value) for role in ROLES for guard in Guard]


class CanaryTally:
    """Counts one canary in one worker.

    Args:
        pipeline: the Pipeline's name.
        plan: of the canary.
        step: what is told of a latch.
        block: the worker's.
        changed: called when the candidate was taken out of the way.

    """

    def __init__(
        self,
        pipeline: str,
        plan: PlanCanary,
        step: CanaryStep,
        block: Block,
        changed: Callable[[], None],
    ) -> None:
        self.name = plan.name
        self._pipeline = pipeline
        self._role = {plan.candidate: CANDIDATE, plan.stable: STABLE}
        self._step = step
        self._changed = changed
        every = [CanaryCells(one, pipeline, plan, len(block.all)) for one in block.all]
        self._cells = every[block.all.index(block)]
        self._all = every
        self._others = [one for one in every if one is not self._cells]
        self._words = block.words
        self._failed, self._stable, self._stable_failed = (self._cells.row[word] for word in ROW)
        self._routing: CanaryRouting | None = None
        self._stage = ""
        self._slow = float("inf")
        self._known: dict[str, set[int]] = {role: set() for role in ROLES}
        """Draws of the sample, so that most units need no look at the file."""

        self._look_at = 0

    def begin(self, routing: CanaryRouting) -> None:
        """Count for what is in force from now on."""
        self._cells.begin(routing)
        self._routing, self._stage = routing, routing.stage_id
        self._slow = float("inf") if routing.guards.slow is None else routing.guards.slow
        self._look_at = 0
        if self._cells.keyed:
            self._known = {role: set(self._cells.draws[role, UNITS]) for role in ROLES}
        self.heed()

    def heed(self) -> None:
        """Obey what any worker of this engine has found of the run that is in force."""
        if self._routing and latched(self._all, self._routing.run):
            self._step.latch(self._routing.run)
        self._words[self._cells.latched] = self._step.latched
        self._changed()

    def count(self, call: Call) -> None:
        """Count the units of an answered call."""
        served = call.served.get(self.name)
        if served is None or served.stage != self._stage or not served.counted:
            return
        if served.rows is None:
            role = self._role[served.variants[0]]
            for draw in served.draws:
                self._unit(role, draw)
        else:
            for draw, part in zip(served.draws, served.part_of, strict=True):
                self._unit(self._role[served.variants[part]], draw)
        runs = [run for run in call.runs if run.step == self.name]
        bad = False
        for run in runs:
            if self._words[self._failed]:
                self._row_goes_on(run)
            bad = bad or run.reason is not None or run.nonfinite > 0 or run.seconds > self._slow
        if bad:
            self._bad(served, runs)

    def _unit(self, role: str, draw: int) -> None:
        if not self._cells.keyed:
            self._words[self._cells.counts[role, UNITS]] += 1
        elif draw not in self._known[role]:
            level = self._words[self._cells.level]
            if not level or sampled(draw, level):
                self._sample(role, draw)

    def _sample(self, role: str, draw: int) -> None:
        """Take a unit into the sample; where there is no room, first leave out every second one."""
        while any(self._cells.draws[one, UNITS].full for one in ROLES):
            self._words[self._cells.level] += 1
            level = self._words[self._cells.level]
            for one in ROLES:
                self._known[one] = {known for known in self._known[one] if sampled(known, level)}
                self._cells.draws[one, UNITS].replace(self._known[one])
            if not sampled(draw, level):
                return
        self._known[role].add(draw)
        self._cells.draws[role, UNITS].add(draw)

    def _row_goes_on(self, run: Run) -> None:
        """Tell whether the stable model fails as well, or end the row by a good answer."""
        words = self._words
        if self._role[run.variant] == STABLE:
            words[self._stable] += 1
            words[self._stable_failed] += run.reason is not None
        elif run.reason is None:
            for offset in self._cells.row.values():
                words[offset] = 0

    def _bad(self, served: Served, runs: Sequence[Run]) -> None:
        """Note units by what is bad about them, and judge.

        Of a call with several units one is noted: the first of those whose rows went wrong. It
        is the candidate's as often as the candidate has units, both where one row of a batch is to
        blame and where nothing works at all.
        """
        for guard, bad in (
            (Guard.ERRORS, [run for run in runs if run.reason is not None]),
            (Guard.LATENCY, [run for run in runs if run.seconds > self._slow]),
            (Guard.INVALID, [run for run in runs if run.nonfinite]),
        ):
            if bad:
                variant, draw = _first(served, bad)
                new = self._noted(guard, self._role[variant], draw)
                if new and guard is Guard.ERRORS and self._role[variant] == CANDIDATE:
                    self._words[self._failed] += 1
        self._judge()

    def _noted(self, guard: Guard, role: str, draw: int) -> bool:
        """Note a unit; tells whether it is new."""
        cells = self._cells
        if self._words[cells.saturated[guard]]:
            return False
        if cells.keyed:
            known = [cells, *(one for one in self._others if one.at(self._stage))]
            if any(draw in one.draws[role, guard] for one in known):
                return False
            if any(cells.draws[one, guard].full for one in ROLES):
                self._words[cells.saturated[guard]] = 1  # for both, or their ratio would drift
                return False
            cells.draws[role, guard].add(draw)
        self._words[cells.counts[role, guard]] += 1
        return True

    def _judge(self) -> None:
        routing = self._routing
        cells = [one for one in self._all if one.at(self._stage)]
        bad = sum(one.words[one.counts[place]] for one in cells for place in _BAD)
        if routing is None or bad < self._look_at:
            return
        self._look_at = bad + 1 + bad // LOOK_AFTER
        rows = [one.numbers() for one in cells]
        found = engine_latch(totals(self._all, self._stage), rows, routing, time.time())
        if found:
            self._latch(found)

    def _latch(self, found: Latch) -> None:
        self._cells.latch = found
        self.heed()
        log(
            "a canary is rolled back by this engine",
            pipeline=self._pipeline,
            step=self.name,
            stage=found.stage,
            guard=found.guard,
            why=found.message,
        )


def _first(served: Served, bad: Sequence[Run]) -> tuple[str, int]:
    """Variant and draw of the first row that went wrong."""
    if served.rows is None:
        return served.variants[0], served.draws[0]
    wrong = {run.variant for run in bad}
    row, variant = min(
        (rows[0], variant)
        for variant, rows in zip(served.variants, served.rows, strict=True)
        if variant in wrong
    )
    return variant, served.draws[row]


class CanaryRecorder(Recorder):
    """Counts the calls of a Pipeline that has canaries."""

    def __init__(self, plan: Plan, block: Block, tallies: Sequence[CanaryTally]) -> None:
        super().__init__(plan, block)
        self._tallies = tallies

    def answered(self, call: Call, status: int, seconds: float, protocol: str) -> None:
        """Count a call, everything it met on its way, and its units."""
        super().answered(call, status, seconds, protocol)
        for tally in self._tallies:
            tally.count(call)
