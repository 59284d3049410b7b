"""Hours of traffic for many canaries at once, and what several rules make of them.

Everything is an array of runs, engines and looks. The rules here are written a second time, with
numpy and scipy, so that ten thousand hours take a minute; `real_rollback` asks the code of the
product, and tests show that both say the same of the same stream.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln
from scipy.stats import norm

from tiltyard_api.evidence import CanaryCounts, Tally, Units
from tiltyard_api.routing import CanaryRouting
from tiltyard_core.canary import Wanted
from tiltyard_core.counts import united
from tiltyard_core.guards import against, engine_latch, judge

Counts = NDArray[np.int64]
Numbers = NDArray[np.float64]

LOOK = 5.0
"""Seconds between two looks."""

HOUR = int(3600 / LOOK)
MINUTE = int(60 / LOOK)
NEVER = -1
"""What a rule says of a run that it does not roll back; else it is the number of the look."""


@dataclass(frozen=True)
class Scenario:
    """What comes in during an hour, and how often it fails."""

    per_second: float
    stable: float
    """Share of the stable model's units that fail."""

    candidate: float
    weights: Sequence[float] = (5,)
    """Percent of the candidate in stages of equal length."""

    burst: int = 1
    """Failed requests of each unit that fails: a client that tries again and again."""

    drift: float = 1
    """Rates of both models wander together between theirs and this many times as much."""

    @property
    def looks_of(self) -> int:
        """Looks of one stage."""
        return HOUR // len(self.weights)

    @property
    def stage(self) -> NDArray[np.int64]:
        """Number of the stage of every look, from 0."""
        return np.minimum(np.arange(HOUR) // self.looks_of, len(self.weights) - 1)

    @property
    def share(self) -> Numbers:
        """Share of the candidate at every look."""
        return np.asarray(self.weights, dtype=float)[self.stage] / 100


@dataclass(frozen=True)
class Streams:
    """Units between one look and the next, as (runs, engines, looks)."""

    scenario: Scenario
    stable: Counts
    stable_bad: Counts
    candidate: Counts
    candidate_bad: Counts


def draw(scenario: Scenario, runs: int, engines: int, chance: np.random.Generator) -> Streams:
    """Draw hours of traffic."""
    size = runs, engines, HOUR
    units = chance.poisson(scenario.per_second * LOOK / engines, size)
    candidate = chance.binomial(units, scenario.share)
    wander = np.ones((runs, 1, HOUR))
    if scenario.drift > 1:
        phase, turns = chance.uniform(0, 2 * np.pi, (2, runs, 1, 1))
        waves = np.sin(phase + turns * np.linspace(0, 2, HOUR)) ** 2
        wander = 1 + (scenario.drift - 1) * waves
    stable = units - candidate
    return Streams(
        scenario,
        stable=stable,
        stable_bad=chance.binomial(stable, np.minimum(scenario.stable * wander, 1)),
        candidate=candidate,
        candidate_bad=chance.binomial(candidate, np.minimum(scenario.candidate * wander, 1)),
    )


def of_stage(counts: Counts, scenario: Scenario) -> Counts:
    """Add up from the beginning of each stage."""
    parts = np.split(counts, np.flatnonzero(np.diff(scenario.stage)) + 1, axis=-1)
    return np.concatenate([part.cumsum(axis=-1) for part in parts], axis=-1)


def first(fires: NDArray[np.bool_]) -> Counts:
    """Give the first look of each run at which something is so."""
    return np.where(fires.any(axis=-1), fires.argmax(axis=-1), NEVER)


def log_evidence(bad: Counts, both: Counts, expected: Numbers) -> Numbers:
    """The test as its authors write it, by scipy."""
    a, b = 10 * expected, 10 * (1 - expected)
    mixture = betaln(bad + a, both - bad + b) - betaln(a, b)
    return np.asarray(mixture - bad * np.log(expected) - (both - bad) * np.log(1 - expected))


def worse(bad: Counts, both: Counts, share: Numbers, margin: float, alpha: float) -> Any:
    """Where counts say that the candidate is worse than the margin puts up with."""
    inside = np.where((share > 0) & (share < 1), share, 0.5)
    expected = inside * (1 + margin) / (inside * (1 + margin) + 1 - inside)
    found = log_evidence(bad, both, expected) >= np.log(1 / alpha)
    return found & (bad > expected * both) & (share > 0) & (share < 1)


def rollback(streams: Streams, margin: float, all_alpha: float, one_alpha: float) -> Counts:
    """Look of the first rollback of each run: by all engines together, or by one of them."""
    scenario = streams.scenario
    bad = of_stage(streams.candidate_bad, scenario)
    both = bad + of_stage(streams.stable_bad, scenario)
    alone = worse(bad, both, scenario.share, margin, one_alpha).any(axis=1)
    summed = bad.sum(axis=1), both.sum(axis=1)
    return first(alone | worse(*summed, scenario.share, margin, all_alpha))


def real_rollback(streams: Streams, run: int, want: Wanted) -> int:
    """Say what the code of the product makes of one run."""
    scenario = streams.scenario
    sums = {
        name: of_stage(getattr(streams, name)[run], scenario)
        for name in ("stable", "stable_bad", "candidate", "candidate_bad")
    }
    for look, number in enumerate(scenario.stage):
        weight = scenario.weights[number]
        table = CanaryRouting(run="r", stage=number + 1, weight=weight, guards=want.one_engine)
        parts = [
            CanaryCounts(
                incarnation=str(engine),
                stage=table.stage_id,
                keyed=False,
                stable=_tally(sums["stable"], sums["stable_bad"], engine, look),
                candidate=_tally(sums["candidate"], sums["candidate_bad"], engine, look),
            )
            for engine in range(streams.stable.shape[1])
        ]
        together = united(table.stage_id, parts)
        evidence = judge(together, weight, want.all_engines)
        if against(evidence, weight, want.all_engines):
            return look
        if any(engine_latch(one, (), table, 0.0) for one in parts):
            return look
    return NEVER


def _tally(units: Counts, bad: Counts, engine: int, look: int) -> Tally:
    return Tally(
        units=Units(count=int(units[engine, look])), errors=Units(count=int(bad[engine, look]))
    )


def z_test(streams: Streams, alpha: float = 0.01) -> Counts:
    """Two proportions of requests, compared at every look by the test for one look."""
    n1, x1, n2, x2 = (
        counts.cumsum(axis=-1)
        for counts in (*_requests(streams, "candidate"), *_requests(streams, "stable"))
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (x1 + x2) / (n1 + n2)
        spread = np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
        found = (x1 / n1 - x2 / n2) / spread
    return first(np.nan_to_num(found) > norm.isf(alpha))


def threshold(streams: Streams, success: float, checks: int) -> Counts:
    """Roll back after so many minutes in which the candidate's success was below a share."""
    units, bad = _requests(streams, "candidate")
    minutes = units.reshape(len(units), -1, MINUTE).sum(axis=2)
    failed = bad.reshape(len(bad), -1, MINUTE).sum(axis=2)
    below = (minutes > 0) & (failed > (1 - success) * minutes)
    found = first(below.cumsum(axis=-1) >= checks)
    return np.where(found == NEVER, NEVER, (found + 1) * MINUTE - 1)


def _requests(streams: Streams, role: str) -> tuple[Counts, Counts]:
    """Requests of all engines: other tools know of no units."""
    bad = getattr(streams, f"{role}_bad").sum(axis=1)
    more = (streams.scenario.burst - 1) * bad
    return getattr(streams, role).sum(axis=1) + more, bad + more
