"""Tests that may be looked at after every unit, and stopped whenever one likes.

Each gives the logarithm of an e-process: under its hypothesis that ever reaches log(1/alpha) with a
probability of at most alpha (Ville). The intervals are the hypotheses against which there is less.

Yes or no, one value a unit: by betting (Waudby-Smith and Ramdas, "Estimating means of bounded
random variables by betting", JRSS B 2024) on values that are weighted by the known probability of
each variant (Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro, "Anytime-valid off-policy
inference for contextual bandits", ACM/IMS J. Data Science 2024). Valid at every sample size, while
rates move and while shares change.

Everything else: the normal mixture with an estimated variance (Waudby-Smith, Arbour, Sinha, Kennedy
and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
Statistics 2024; with one stratum it is the mixture SPRT of Johari, Koomen, Pekelis and Walsh).
Valid as the sample grows; a smallest sample goes before it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, inf, lgamma, log, log1p, sqrt

STEPS = 60
"""Halvings of what is uncertain about the end of an interval."""

STAKES = tuple(0.9 / 2.5**n for n in range(7))
"""What is bet, in units of difference over variance. Below 1 no bet can lose everything."""

CENTRES = (0.0, 0.2, 0.5, 0.8, 1.0)
"""Guesses of the rate: each is right enough for some rates, and valid for all."""

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Table:
    """Yes and no of two variants, one value a unit, while their shares stayed the same."""

    share: float
    """Probability that a unit of both was given to the variant, not the control."""

    control: tuple[float, float]
    """Units without and with success."""

    variant: tuple[float, float]

    def times(self, factor: float) -> "Table":
        """Give so many times the same."""
        (no, yes), (other_no, other_yes) = self.control, self.variant
        scaled = (no * factor, yes * factor), (other_no * factor, other_yes * factor)
        return Table(self.share, *scaled)


def binary_evidence(tables: Iterable[Table], difference: float = 0.0) -> float:
    """Log evidence against a variant's rate being so much above the control's."""
    used = [one for one in tables if 0 < one.share < 1]
    logs = [
        sum(_won(one, sign * stake, centre, difference) for one in used)
        for stake in STAKES
        for sign in (1, -1)
        for centre in CENTRES
    ]
    return _log_mean(logs)


def _won(table: Table, stake: float, centre: float, difference: float) -> float:
    """Log of what a bet has made of a stratum's units; the expectation of each factor is 1."""
    share, rest = table.share, 1 - table.share
    drift = share * rest * difference
    found = 0.0
    for value in (0, 1):
        if table.control[value]:
            found += table.control[value] * log1p(stake * (-share * (value - centre) - drift))
        if table.variant[value]:
            found += table.variant[value] * log1p(stake * (rest * (value - centre) - drift))
    return found


def binary_interval(tables: Sequence[Table], near: float, alpha: float) -> Interval:
    """Differences of rates against which there is less than 1/alpha.

    Evidence is convex in the difference, so that they are an interval.

    Args:
        tables: one for each stratum.
        near: an estimate.
        alpha: probability that the interval ever misses the difference.

    """
    limit = log(1 / alpha)

    def against(difference: float) -> float:
        return binary_evidence(tables, difference) - limit

    inside = near if against(near) < 0 else _lowest(against)
    if against(inside) >= 0:
        return inside, inside
    return _edge(against, inside, -1.0), _edge(against, inside, 1.0)


def _edge(against: Callable[[float], float], inside: float, outside: float) -> float:
    """Give the point between where there is just enough against it."""
    if against(outside) < 0:
        return outside
    for _ in range(STEPS):
        middle = (inside + outside) / 2
        if against(middle) < 0:
            inside = middle
        else:
            outside = middle
    return outside


def _lowest(against: Callable[[float], float]) -> float:
    """Give the difference that least speaks against, by thirds."""
    low, high = -1.0, 1.0
    for _ in range(STEPS):
        third = (high - low) / 3
        if against(low + third) < against(high - third):
            high -= third
        else:
            low += third
    return (low + high) / 2


def _log_mean(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + log(sum(exp(one - most) for one in logs) / len(logs))


def normal_evidence(z: float, prior: float) -> float:
    """Log evidence of a standardised difference, by a normal mixture.

    Args:
        z: the difference over its standard error.
        prior: variance of the mixture over that of the estimate; see `prior_of`.

    """
    return (z * z * prior / (1 + prior) - log1p(prior)) / 2


def normal_limit(prior: float, alpha: float) -> float:
    """Give the z at which `normal_evidence` comes to log(1/alpha)."""
    return sqrt((1 + prior) / prior * (2 * log(1 / alpha) + log1p(prior)))


def prior_of(units: float, tuned: float, alpha: float) -> float:
    """Give the prior of a normal mixture that is tightest at a number of units.

    Args:
        units: there are now. Only their number counts, nothing that was measured.
        tuned: at which the interval is to be tightest.
        alpha: of the interval.

    """
    return _tightest(alpha) * units / tuned


@cache
def _tightest(alpha: float) -> float:
    found = 1.0
    for _ in range(100):
        found = 2 * log(1 / alpha) + log1p(found)
    return found


def ratio_evidence(
    counts: Sequence[int], shares: Sequence[float], strength: float = 100.0
) -> float:
    """Log evidence against units dividing as they should: a Dirichlet-multinomial mixture.

    After Lindon and Malek, "Anytime-valid inference for multinomial count data" (NeurIPS 2022).

    Args:
        counts: units of each variant.
        shares: that each should have; their sum is 1.
        strength: of the prior, which expects these shares. Ratios go wrong by a little, mostly.

    """
    if any(count and not share for count, share in zip(counts, shares, strict=True)):
        return inf
    total = sum(counts)
    found = lgamma(strength) - lgamma(total + strength)
    for count, share in zip(counts, shares, strict=True):
        if share:
            expected = strength * share
            found += lgamma(count + expected) - lgamma(expected) - count * log(share)
    return found
