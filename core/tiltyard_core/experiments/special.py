"""Tails of distributions that the standard library does not have."""

from math import exp, isinf, lgamma, log, log1p, sqrt
from statistics import NormalDist

_NORMAL = NormalDist()
_TINY = 1e-300

NORMAL_FROM = 1e6
"""Degrees of freedom from which on Student's distribution is taken for the normal one."""

_PRECISION = 1e-15


def normal_p(z: float) -> float:
    """Probability that a normal number is at least as far from 0."""
    return 2 * _NORMAL.cdf(-abs(z))


def normal_quantile(share: float) -> float:
    """Give the number that a normal one is below with that probability."""
    return _NORMAL.inv_cdf(share)


def student_p(t: float, freedom: float) -> float:
    """Probability that a number of Student's t distribution is at least as far from 0."""
    if isinf(t):
        return 0.0
    if freedom > NORMAL_FROM:
        return normal_p(t)
    return beta_share(freedom / 2, 0.5, freedom / (freedom + t * t))


def binomial_p(successes: int, trials: int) -> float:
    """Probability of a fair coin to be at least as uneven: the exact two-sided sign test."""
    more = max(successes, trials - successes)
    if 2 * more == trials:
        return 1.0
    return min(1.0, 2 * beta_share(more, trials - more + 1, 0.5))


def beta_share(a: float, b: float, x: float) -> float:
    """Probability that a number of the beta distribution is at most x: the incomplete beta ratio.

    By its continued fraction, evaluated after Lentz from the side on which it converges fast.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    front = lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x)
    if x > (a + 1) / (a + b + 2):
        return 1 - exp(front) * _fraction(b, a, 1 - x) / b
    return exp(front) * _fraction(a, b, x) / a


def _fraction(a: float, b: float, x: float) -> float:
    above, below = 1.0, 1 / _not_zero(1 - (a + b) * x / (a + 1))
    found = below
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            below = 1 / _not_zero(1 + term * below)
            above = _not_zero(1 + term / above)
            found *= above * below
        if abs(above * below - 1) < _PRECISION:
            break
    return found


def _not_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def as_normal(t: float, freedom: float) -> float:
    """Give the z that is as unlikely as a t, within a few thousandths (Wallace, 1959)."""
    if isinf(freedom):
        return abs(t)
    factor = (8 * freedom + 1) / (8 * freedom + 3)
    return factor * sqrt(freedom * log1p(t * t / freedom))


def as_student(z: float, freedom: float) -> float:
    """Give the t that is as unlikely as a z: the inverse of `as_normal`."""
    if isinf(freedom):
        return z
    factor = (8 * freedom + 3) / (8 * freedom + 1)
    return sqrt(freedom * (exp((z * factor) ** 2 / freedom) - 1))
