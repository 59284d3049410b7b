"""How strongly counts speak against a candidate: tests that hold however often they are looked at.

Given that some unit failed, it was the candidate's with a probability that is the candidate's share
of the units, if both models fail alike. The share of the failed units is compared with that by the
likelihood ratio of a beta-binomial mixture. Under the hypothesis the ratio is a martingale that
begins at 1: it ever reaches 1/alpha with a probability of at most alpha. Nothing is lost by looking
after every unit, nor by rates that move, as long as they move for both models.
"""

from math import inf, lgamma, log

STRENGTH = 10.0
"""Units' worth of prior opinion about the share: small, so that a few dozen failures decide."""


def null_share(share: float, margin: float) -> float:
    """Share of the bad units that a candidate has which is worse by just the margin.

    Args:
        share: the candidate's of all units.
        margin: 0.5 for half as many bad units again.

    """
    worse = share * (1 + margin)
    return worse / (worse + 1 - share)


def log_evidence(candidate: int, both: int, expected: float, strength: float = STRENGTH) -> float:
    """Logarithm of the likelihood ratio against `candidate` units of `both` being as expected.

    Args:
        candidate: units of the candidate.
        both: units of the candidate and of the stable model.
        expected: share that the hypothesis gives the candidate, above 0 and below 1.
        strength: of the prior, which expects that share.

    """
    a, b = strength * expected, strength * (1 - expected)
    mixture = _betaln(candidate + a, both - candidate + b) - _betaln(a, b)
    return mixture - candidate * log(expected) - (both - candidate) * log(1 - expected)


def most_share(bad: int, units: int, alpha: float) -> float:
    """Upper bound of a share of bad units, which holds at all times at once with 1 - alpha."""
    return 1 - least_share(units - bad, units, alpha)


def least_share(bad: int, units: int, alpha: float) -> float:
    """Lower bound of a share of bad units, which holds at all times at once with 1 - alpha."""
    if not bad:
        return 0.0
    low, high, limit = 0.0, bad / units, log(1 / alpha)
    for _ in range(60):  # halves what is uncertain until no float is left between
        middle = (low + high) / 2
        if _against(bad, units, middle) >= limit:
            low = middle
        else:
            high = middle
    return low


def _against(bad: int, units: int, share: float) -> float:
    """Log evidence against a share, with a uniform prior."""
    if share <= 0:
        return inf
    mixture = _betaln(bad + 1, units - bad + 1)
    return mixture - bad * log(share) - (units - bad) * log(1 - share)


def _betaln(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
