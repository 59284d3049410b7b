"""How much better a variant is: estimate, interval, evidence. Within strata, never across them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, inf, log, sqrt

from tiltyard_api.experiment import BUCKETS
from tiltyard_core.experiments.anytime import (
    Table,
    binary_evidence,
    binary_interval,
    normal_evidence,
    normal_limit,
    prior_of,
)
from tiltyard_core.experiments.cells import Numbers, Stratum
from tiltyard_core.experiments.fixed import Test, student, two_proportions, weights, welch
from tiltyard_core.experiments.special import as_normal, as_student

EXACT = "betting"
ASYMPTOTIC = "normal mixture"
BY_BUCKETS = "normal mixture over buckets of units"

LEAST_BUCKETS = 32
"""Buckets that must have values for their spread to say anything."""

TUNED = 4
"""Intervals are tightest at so many times the smallest sample."""

LEAST_TUNED = 100

MOST_TIMES = 1000.0
"""Farther than that no time to a verdict is told."""

ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Difference:
    """What is known of a variant beside the control."""

    estimate: float
    low: float
    high: float
    evidence: float
    """Logarithm; at log(1/alpha) there is a difference."""

    times: float | None
    """So many times the values there are would do for a verdict, if the difference is what it
    looks like; 1 where there is one; None: beyond all bounds."""

    method: str
    fixed: Test
    """For one look at the end, to compare with."""

    @property
    def p(self) -> float:
        """Always-valid p-value."""
        return min(1.0, exp(-self.evidence))


def difference(strata: Sequence[Stratum], alpha: float, least: int, *, binary: bool) -> Difference:
    """Compare a variant with the control.

    Args:
        strata: at least one of them has values of both.
        alpha: most probability of finding a difference where there is none.
        least: units that each must have had before anybody looks.
        binary: values are 0 and 1.

    """
    parts = weights([one.sizes for one in strata])
    pairs = zip(parts, strata, strict=True)
    found = sum(part * (one.variant.mean - one.control.mean) for part, one in pairs)
    if any(one.control.clustered or one.variant.clustered for one in strata):
        return _over_strata(strata, parts, found, alpha, least)
    if binary:
        return _exact(strata, found, alpha)
    return _by_moments(strata, found, alpha, least)


def preference(strata: Sequence[Stratum], alpha: float, least: int) -> Difference:
    """Compare two rankers whose lists were interleaved: each unit has seen both.

    The estimate is what the second got for each value that was credited, less what the first got.
    """
    values = sum(sum(one.sizes) for one in strata)
    found = sum(one.variant.total - one.control.total for one in strata) / max(1, values)
    strays = [
        sum(
            one.variant.sums[bucket]
            - one.control.sums[bucket]
            - found * (one.variant.counts[bucket] + one.control.counts[bucket])
            for one in strata
        )
        / max(1, values)
        for bucket in range(BUCKETS)
    ]
    units = sum(max(one.variant.units, one.control.units) for one in strata)
    return _by_buckets(strata, strays, found, units, (alpha, least))


def _over_strata(
    strata: Sequence[Stratum], parts: Sequence[float], found: float, alpha: float, least: int
) -> Difference:
    """Compare variants whose units gave several values each.

    A bucket holds all that its units did, under whatever weights, so that buckets are independent
    of each other where the values of one user are not.
    """
    strays = [
        sum(
            part * (one.variant.strayed(bucket) - one.control.strayed(bucket))
            for part, one in zip(parts, strata, strict=True)
        )
        for bucket in range(BUCKETS)
    ]
    units = _both([(one.control.units, one.variant.units) for one in strata])
    return _by_buckets(strata, strays, found, units, (alpha, least))


def _by_buckets(
    strata: Sequence[Stratum],
    strays: Sequence[float],
    found: float,
    units: float,
    wanted: tuple[float, int],
) -> Difference:
    """Let the spread of buckets say how sure an estimate is."""
    used = sum(
        any(one.control.counts[bucket] or one.variant.counts[bucket] for one in strata)
        for bucket in range(BUCKETS)
    )
    free = max(1, used - 1)
    error = sqrt(sum(one * one for one in strays) * used / free)
    test = student("t over buckets of units", found, error, free)
    if used < LEAST_BUCKETS:
        return Difference(found, -inf, inf, 0.0, None, BY_BUCKETS, test)
    return _mixed(found, test, units, wanted, BY_BUCKETS)


def _by_moments(strata: Sequence[Stratum], found: float, alpha: float, least: int) -> Difference:
    test = welch([(one.control.sample, one.variant.sample) for one in strata])
    units = _both([one.sizes for one in strata])
    return _mixed(found, test, units, (alpha, least), ASYMPTOTIC)


def _mixed(
    found: float, test: Test, units: float, wanted: tuple[float, int], method: str
) -> Difference:
    """Turn a test for one look into one for all, by a normal mixture."""
    alpha, least = wanted
    if test.error <= 0:  # the values are all the same: nobody knows how they spread
        return Difference(found, -inf, inf, 0.0, None, method, test)
    prior = prior_of(units, TUNED * max(least, LEAST_TUNED) / 2, alpha)
    z = as_normal(test.statistic, test.freedom)
    half = as_student(normal_limit(prior, alpha), test.freedom) * test.error
    return Difference(
        estimate=found,
        low=found - half,
        high=found + half,
        evidence=normal_evidence(z, prior),
        times=_times(lambda t: normal_evidence(z * sqrt(t), prior * t), log(1 / alpha)),
        method=method,
        fixed=test,
    )


def _exact(strata: Sequence[Stratum], found: float, alpha: float) -> Difference:
    """Compare rates of units that gave one value each."""
    tables = tuple(
        Table(one.share, _yes_and_no(one.control), _yes_and_no(one.variant)) for one in strata
    )
    low, high, evidence, times = _bets(tables, found, alpha)
    test = two_proportions([(one.control.sample, one.variant.sample) for one in strata])
    return Difference(found, low, high, evidence, times, EXACT, test)


@lru_cache(maxsize=1024)  # whoever asks again has mostly heard nothing new
def _bets(
    tables: tuple[Table, ...], found: float, alpha: float
) -> tuple[float, float, float, float | None]:
    """Give both ends of the interval, the evidence, and how much more of the same would do."""
    low, high = binary_interval(tables, found, alpha)
    times = _times(
        lambda times: binary_evidence([one.times(times) for one in tables]), log(1 / alpha)
    )
    return low, high, binary_evidence(tables), times


def _yes_and_no(found: Numbers) -> tuple[float, float]:
    return found.count - found.total, found.total


def _both(sizes: Sequence[tuple[float, float]]) -> float:
    """Give the size of a sample of differences that two samples are as good as."""
    return sum(a * b / (a + b) for a, b in sizes if a and b)


def _times(evidence: Callable[[float], float], limit: float) -> float | None:
    """How much more of the same would be enough."""
    if evidence(1.0) >= limit:
        return 1.0
    if evidence(MOST_TIMES) < limit:
        return None
    low, high = 0.0, log(MOST_TIMES)
    for _ in range(ROUNDS):
        middle = (low + high) / 2
        if evidence(exp(middle)) < limit:
            low = middle
        else:
            high = middle
    return exp(high)
