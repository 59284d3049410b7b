"""Plays a canary through: how often, and after how long, would it be rolled back?

Units come at an even rate and fail by chance, each for itself. Everything that decides is what
decides in production; only the engines' rows of failures are left out.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol

from tiltyard_api.evidence import CanaryCounts, Tally, Units
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.stage import CanaryState
from tiltyard_core.canary import Seen, Wanted, decide, routing
from tiltyard_core.counts import united
from tiltyard_core.guards import engine_latch

FEW = 16
"""Trials that are made one by one."""


class Chance(Protocol):
    """Where chance comes from; `random.Random` is one."""

    def random(self) -> float:
        """Give a number in [0, 1)."""

    def betavariate(self, alpha: float, beta: float) -> float:
        """Give a number of the beta distribution."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What comes in, and how the models take it."""

    per_second: float
    """Units a second, over all engines."""

    stable: float
    """Share of its units that the stable model fails."""

    candidate: float
    """Share of its units that the candidate fails."""


@dataclass(frozen=True, slots=True)
class Run:
    """How one canary ended."""

    seconds: float
    reason: ConditionReason
    by: str = ""
    """Who rolled it back."""

    stage: int = 0
    units: int = 0
    """Units that the candidate had in the stage it ended in."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """How canaries ended."""

    runs: tuple[Run, ...]

    @property
    def rolled_back(self) -> tuple[Run, ...]:
        """Those that were."""
        return tuple(one for one in self.runs if one.reason == ConditionReason.ROLLED_BACK)

    @property
    def share(self) -> float:
        """Share that was rolled back."""
        return len(self.rolled_back) / len(self.runs)

    @property
    def median_seconds(self) -> float | None:
        """Time to the rollback of half of those that were; None where none was."""
        times = [one.seconds for one in self.rolled_back]
        return median(times) if times else None


@dataclass(slots=True)
class Engine:
    """Counts of one engine in a stage."""

    stable: list[int] = field(default_factory=lambda: [0, 0])
    """Units, and those that failed."""

    candidate: list[int] = field(default_factory=lambda: [0, 0])

    def counts(self, stage: str, name: str) -> CanaryCounts:
        """Say them as an engine does."""
        return CanaryCounts(
            incarnation=name,
            stage=stage,
            keyed=False,
            stable=_tally(*self.stable),
            candidate=_tally(*self.candidate),
        )


def simulate(
    want: Wanted, traffic: Traffic, runs: int, chance: Chance, limit: float, every: float = 2.0
) -> Iterator[Run]:
    """Play canaries through, one after the other.

    Args:
        want: the canary.
        traffic: what comes in.
        runs: how often.
        chance: where chance comes from.
        limit: seconds after which a canary that is still on its way is left alone.
        every: seconds between two looks.

    """
    for _ in range(runs):
        yield _play(want, traffic, chance, limit, every)


def _play(want: Wanted, traffic: Traffic, chance: Chance, limit: float, every: float) -> Run:
    state: CanaryState | None = None
    seen, engines, due = Seen(in_force=True), [Engine() for _ in range(want.engines)], 0.0
    now = 0.0
    while True:
        outcome = decide(want, state, seen, now)
        stage = outcome.state.stage
        if state is None or stage.id != state.stage.id:
            engines = [Engine() for _ in range(want.engines)]
        state = outcome.state
        mine = sum(one.candidate[0] for one in engines)
        if outcome.reason == ConditionReason.ROLLED_BACK and state.latched:
            return Run(now, outcome.reason, state.latched.by, stage.number, mine)
        if outcome.reason == ConditionReason.COMPLETE or now >= limit:
            return Run(now, outcome.reason, "", stage.number, mine)
        due += traffic.per_second * every / want.engines
        for one in engines:
            _pass(one, int(due), stage.weight / 100, traffic, chance)
        due -= int(due)
        now += every
        seen = _seen(want, state, engines, now)


def _pass(engine: Engine, units: int, share: float, traffic: Traffic, chance: Chance) -> None:
    """Let an engine have some units."""
    mine = binomial(units, share, chance)
    for tally, had, rate in (
        (engine.candidate, mine, traffic.candidate),
        (engine.stable, units - mine, traffic.stable),
    ):
        tally[0] += had
        tally[1] += binomial(had, rate, chance)


def _seen(want: Wanted, state: CanaryState, engines: list[Engine], now: float) -> Seen:
    stage = state.stage.id
    parts = [one.counts(stage, str(index)) for index, one in enumerate(engines)]
    table = routing(want, state)
    latches = [found for one in parts if (found := engine_latch(one, (), table, now))]
    return Seen(counts=united(stage, parts), in_force=True, latches=latches)


def _tally(units: int, errors: int) -> Tally:
    return Tally(units=Units(count=units), errors=Units(count=errors))


def binomial(trials: int, share: float, chance: Chance) -> int:
    """Give how many of so many trials succeed, in a time that hardly grows with their number.

    The median of the trials' numbers has a beta distribution; on one side of it everything is
    decided by where it lies, and the other side is the same question with half the trials.
    """
    if share <= 0 or not trials:
        return 0
    if share >= 1:
        return trials
    found = 0
    while trials > FEW:
        middle = trials // 2 + 1
        at = chance.betavariate(middle, trials + 1 - middle)
        if at <= share:
            found += middle
            trials -= middle
            share = (share - at) / (1 - at)
        else:
            trials = middle - 1
            share /= at
    return found + sum(chance.random() < share for _ in range(trials))
