"""Tests for one look at the end, at a sample size that was chosen before. For comparison only.

Looked at again and again they find what is not there; `anytime.py` has those that do not.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, copysign, inf, sqrt

from tiltyard_core.experiments.special import (
    binomial_p,
    normal_p,
    normal_quantile,
    student_p,
)


@dataclass(frozen=True, slots=True)
class Test:
    """What a test came to."""

    name: str
    statistic: float
    p: float
    error: float = 0.0
    """Standard error of what was tested."""

    freedom: float = inf
    """Degrees of it; of the normal distribution without bound."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What is known of values that are independent of each other."""

    count: float
    mean: float
    variance: float
    """Unbiased, of one value."""


Pair = tuple[Sample, Sample]
"""Of the control and of the variant, in one stratum."""


def weights(pairs: Sequence[tuple[float, float]]) -> list[float]:
    """How much each stratum counts, by the sizes of its two samples (Mantel and Haenszel)."""
    sizes = [a * b / (a + b) if a and b else 0.0 for a, b in pairs]
    total = sum(sizes)
    return [one / total if total else 0.0 for one in sizes]


def two_proportions(pairs: Sequence[Pair]) -> Test:
    """Test two rates for being the same, within strata: the z-test with pooled variance.

    Args:
        pairs: of each stratum, of values 0 and 1.

    """
    parts = weights([(a.count, b.count) for a, b in pairs])
    difference = variance = 0.0
    for weight, (a, b) in zip(parts, pairs, strict=True):
        if weight:
            rate = (a.count * a.mean + b.count * b.mean) / (a.count + b.count)
            difference += weight * (b.mean - a.mean)
            variance += weight**2 * rate * (1 - rate) * (1 / a.count + 1 / b.count)
    z = _ratio(difference, sqrt(variance))
    return Test("two-proportion z", z, normal_p(z), sqrt(variance))


def welch(pairs: Sequence[Pair]) -> Test:
    """Test two means for being the same, within strata: Welch's t-test."""
    parts = weights([(a.count, b.count) for a, b in pairs])
    difference, terms = 0.0, []
    for weight, pair in zip(parts, pairs, strict=True):
        if weight:
            difference += weight * (pair[1].mean - pair[0].mean)
            terms += [(weight**2 * one.variance / one.count, one.count - 1) for one in pair]
    variance = sum(term for term, _ in terms)
    return student("Welch t", difference, sqrt(variance), _satterthwaite(terms))


def _satterthwaite(terms: Sequence[tuple[float, float]]) -> float:
    """Degrees of freedom of a sum of variances, each with its own."""
    total = sum(term for term, _ in terms)
    if not total:
        return 1.0
    return 1 / sum((term / total) ** 2 / max(1, free) for term, free in terms)


def student(name: str, difference: float, error: float, freedom: float) -> Test:
    """Test a difference for being none, by Student's t distribution."""
    t = _ratio(difference, error)
    return Test(name, t, student_p(t, freedom), error, freedom)


def sign_test(first: int, second: int) -> Test:
    """Test two rankers for winning equally often."""
    return Test("sign", first - second, binomial_p(first, first + second))


def wilson(successes: float, trials: float, alpha: float = 0.05) -> tuple[float, float]:
    """Give the interval of Wilson for a share."""
    if not trials:
        return 0.0, 1.0
    z = normal_quantile(1 - alpha / 2)
    share, extra = successes / trials, z * z / trials
    middle = (share + extra / 2) / (1 + extra)
    half = z / (1 + extra) * sqrt(share * (1 - share) / trials + extra / trials / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def power(difference: float, error: float, alpha: float = 0.05) -> float:
    """Probability that a two-sided z-test finds a difference whose standard error is known."""
    limit, shift = normal_quantile(1 - alpha / 2), abs(difference) / error
    return _above(limit - shift) + _above(limit + shift)


def sample_size(difference: float, deviation: float, alpha: float, wanted: float) -> int:
    """Units that each of two variants needs for a z-test to find a difference so often."""
    found = normal_quantile(1 - alpha / 2) + normal_quantile(wanted)
    return ceil(2 * (found * deviation / difference) ** 2)


def _above(z: float) -> float:
    tail = normal_p(z) / 2
    return tail if z > 0 else 1 - tail


def _ratio(difference: float, error: float) -> float:
    if error > 0:
        return difference / error
    return copysign(inf, difference) if difference else 0.0
