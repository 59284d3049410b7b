"""What each worker knows of a canary, in its block of the counter file.

The routing that it runs, how often what happened under its stage, the draws of the units that it
happened to, and the latch, once it has found its candidate to be bad.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Final

from pydantic import ValidationError

from tiltyard_api.evidence import MOST_KEYS, CanaryCounts, CanaryReport, Tally, Units
from tiltyard_api.plan import Plan, PlanCanary
from tiltyard_api.routing import CanaryRouting
from tiltyard_api.v1alpha1.stage import Guard, Latch
from tiltyard_core.counts import keyed_tally, united
from tiltyard_core.guards import Row, judge
from tiltyard_engine.cells import Cell, cell_series
from tiltyard_engine.counters import Block, CounterFile, Series
from tiltyard_engine.drawsets import DrawSet, set_series

CANDIDATE: Final = "candidate"
STABLE: Final = "stable"
ROLES: Final = (CANDIDATE, STABLE)

UNITS: Final = "units"
SORTS: Final = (UNITS, *map(str, Guard))
"""What is counted of each variant: all units, and the bad ones by what is bad about them."""

ROW: Final = ("failed", STABLE, "stable_failed")

_ROUTING_ROOM: Final = 1024
_LATCH_ROOM: Final = 8192
"""A message of 1,024 characters, were each of them four bytes or escaped, and the rest."""


def canary_series(pipeline: str, step: PlanCanary) -> Iterator[Series]:
    """Numbers by which a worker tells of a canary; the first alone is exposed as it is."""
    place = pipeline, step.name
    yield Series("tiltyard_canary_latched", (*place, step.candidate))
    yield cell_series("canary_routing", *place, room=_ROUTING_ROOM)
    yield cell_series("canary_latch", *place, room=_LATCH_ROOM)
    yield Series("canary_level", place)
    for word in ROW:
        yield Series("canary_row", (*place, word))
    for guard in Guard:
        yield Series("canary_saturated", (*place, guard))
    for role in ROLES:
        for sort in SORTS:
            yield Series("canary_count", (*place, role, sort))
            if step.hash_key:
                yield set_series("canary_draws", *place, role, sort)


class CanaryCells:
    """One worker's numbers of one canary.

    Args:
        block: the worker's.
        pipeline: the name of its Pipeline.
        step: the canary.
        workers: how many there are: what they hold together must fit into one report.

    """

    def __init__(self, block: Block, pipeline: str, step: PlanCanary, workers: int) -> None:
        place = pipeline, step.name
        self.words = block.words
        self.keyed = step.hash_key is not None
        self._routing = Cell(block, cell_series("canary_routing", *place, room=_ROUTING_ROOM))
        self._latch = Cell(block, cell_series("canary_latch", *place, room=_LATCH_ROOM))
        self.level = block.offset("canary_level", *place)
        self.row = {word: block.offset("canary_row", *place, word) for word in ROW}
        self.saturated = {guard: block.offset("canary_saturated", *place, guard) for guard in Guard}
        places = [(role, sort) for role in ROLES for sort in SORTS]
        self.counts = {one: block.offset("canary_count", *place, *one) for one in places}
        room = MOST_KEYS // len(ROLES) // workers
        self.draws = {
            one: DrawSet(block, set_series("canary_draws", *place, *one), room)
            for one in (places if self.keyed else ())
        }
        self._weight = block.offset("tiltyard_variant_weight", *place, step.candidate)
        self.latched = block.offset("tiltyard_canary_latched", *place, step.candidate)

    @property
    def routing(self) -> CanaryRouting | None:
        """What the worker runs; None: nothing yet, or it is changing."""
        return _routing(self._routing.read())

    @property
    def latch(self) -> Latch | None:
        """What the worker found last; it may be of an earlier run."""
        return _latch(self._latch.read())

    @latch.setter
    def latch(self, found: Latch) -> None:
        self._latch.write(found.model_dump_json(by_alias=True, exclude_none=True).encode())

    @property
    def routes(self) -> bool:
        """Whether the worker gives the candidate anything."""
        return self.words[self._weight] > 0

    def begin(self, routing: CanaryRouting) -> None:
        """Say what is in force, and begin to count anew where the stage is another."""
        before = self.routing
        if before is None or before.stage_id != routing.stage_id:
            self._routing.write(b"")
            for offset in (self.level, *self.row.values(), *self.saturated.values()):
                self.words[offset] = 0
            for offset in self.counts.values():
                self.words[offset] = 0
            for draws in self.draws.values():
                draws.replace(())
        self._routing.write(routing.model_dump_json(by_alias=True).encode())

    def at(self, stage: str) -> bool:
        """Whether the worker counts for a stage."""
        routing = self.routing
        return routing is not None and routing.stage_id == stage

    def count(self, role: str, sort: str) -> int:
        """How many of a sort; of all units no more than the sample, where units are keys."""
        if self.keyed and sort == UNITS:
            return len(self.draws[role, sort])
        return int(self.words[self.counts[role, sort]])

    def numbers(self) -> Row:
        """The units that the candidate failed in a row."""
        failed, stable, stable_failed = (self.words[offset] for offset in self.row.values())
        return Row(failed, stable, stable_failed)

    def report(self, incarnation: str, stage: str) -> CanaryCounts:
        """All that was counted, draw by draw."""
        return CanaryCounts(
            incarnation=incarnation,
            stage=stage,
            keyed=self.keyed,
            level=self.words[self.level],
            stable=self._tally(STABLE),
            candidate=self._tally(CANDIDATE),
            saturated=tuple(guard for guard in Guard if self.words[self.saturated[guard]]),
        )

    def _tally(self, role: str) -> Tally:
        if self.keyed:
            return keyed_tally({sort: frozenset(self.draws[role, sort]) for sort in SORTS})
        return Tally.model_validate({sort: Units(count=self.count(role, sort)) for sort in SORTS})


def every_canary(
    plans: Sequence[Plan], counters: CounterFile
) -> dict[tuple[str, str], list[CanaryCells]]:
    """What all workers know of each canary, by Pipeline and step."""
    workers = len(counters.blocks)
    return {
        (plan.pipeline, step.name): [
            CanaryCells(block, plan.pipeline, step, workers) for block in counters.blocks
        ]
        for plan in plans
        for step in plan.steps
        if isinstance(step, PlanCanary)
    }


def latched(cells: Sequence[CanaryCells], run: str) -> Latch | None:
    """What any worker found of a run."""
    found = (one.latch for one in cells)
    return next((latch for latch in found if latch and run_of(latch) == run), None)


def run_of(latch: Latch) -> str:
    """The run that a latch holds for: all stages of the ramp it happened in."""
    return latch.stage.rpartition("-")[0]


def report(cells: Sequence[CanaryCells], incarnation: str) -> CanaryReport | None:
    """What the engine says of a canary, all workers together; None: none has begun."""
    running = [(one, routing) for one in cells if (routing := one.routing)]
    if not running:
        return None
    _, routing = running[0]
    stage = routing.stage_id
    parts = [one.report(incarnation, stage) for one, runs in running if runs.stage_id == stage]
    counts = united(stage, parts)
    named = counts.model_copy(update={"incarnation": incarnation})
    return CanaryReport(counts=named, latch=latched(cells, routing.run))


def unheeded(cells: Sequence[CanaryCells]) -> bool:
    """Whether a worker gives its candidate something though one of the engine's found it bad."""
    return any(
        one.routes and (routing := one.routing) and latched(cells, routing.run) for one in cells
    )


def totals(cells: Sequence[CanaryCells], stage: str) -> CanaryCounts:
    """How much of each sort all workers counted in a stage, without the draws.

    A bad unit is with one worker only, so that nothing has to be united to be judged.
    """
    counting = [one for one in cells if one.at(stage)]
    stable, candidate = (
        Tally.model_validate(
            {sort: Units(count=sum(one.count(role, sort) for one in counting)) for sort in SORTS}
        )
        for role in (STABLE, CANDIDATE)
    )
    return CanaryCounts(
        incarnation="",
        stage=stage,
        keyed=False,
        level=max((one.words[one.level] for one in counting), default=0),
        stable=stable,
        candidate=candidate,
    )


def strongest(cells: Sequence[CanaryCells]) -> float:
    """Log evidence of the guard that has most against the candidate in this engine."""
    routing = routed(cells)
    if routing is None:
        return 0.0
    found = judge(totals(cells, routing.stage_id), routing.weight, routing.guards)
    return max((one.log_evidence for one in found), default=0.0)


def routed(cells: Sequence[CanaryCells]) -> CanaryRouting | None:
    """What the first worker runs that has begun."""
    return next((found for one in cells if (found := one.routing)), None)


@lru_cache(maxsize=64)
def _routing(text: bytes) -> CanaryRouting | None:
    with suppress(ValidationError):
        return CanaryRouting.model_validate_json(text)
    return None


@lru_cache(maxsize=64)
def _latch(text: bytes) -> Latch | None:
    with suppress(ValidationError):
        return Latch.model_validate_json(text)
    return None
