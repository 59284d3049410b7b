"""Histograms of several engines as one, and what can be read off it."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

from tiltyard_api.figures import Histogram


def merged(parts: Sequence[Histogram]) -> Histogram | None:
    """Add histograms up; None: there are none.

    Engines of different versions may have different buckets. What they have in common is exact, so
    that alone is kept.
    """
    if not parts:
        return None
    bounds = tuple(sorted(frozenset.intersection(*(frozenset(one.bounds) for one in parts))))
    below = [sum(_below(one)[bound] for one in parts) for bound in bounds]
    every = sum(sum(one.counts) for one in parts)
    counts = tuple(high - low for low, high in pairwise((0, *below, every)))
    return Histogram(bounds=bounds, counts=counts, sum=sum(one.sum for one in parts))


def quantile(histogram: Histogram, share: float) -> float | None:
    """Time that a share of the observations stays within, in seconds.

    Observations are taken to lie evenly in their bucket, as `histogram_quantile` of Prometheus has
    it. What lies above the last bound counts as that bound.

    Args:
        histogram: the observations.
        share: 0.5 for the median.

    Returns:
        The time; None: nothing was observed, or there are no buckets.

    """
    every = sum(histogram.counts)
    if not every or not histogram.bounds:
        return None
    rank, below, low = share * every, 0, 0.0
    for high, count in zip(histogram.bounds, histogram.counts, strict=False):
        if count and below + count >= rank:
            return low + (high - low) * max(rank - below, 0) / count
        below, low = below + count, high
    return low


def mean(histogram: Histogram) -> float | None:
    """Mean of the observations, which is exact; None: nothing was observed."""
    every = sum(histogram.counts)
    return histogram.sum / every if every else None


def _below(histogram: Histogram) -> dict[float, int]:
    return dict(zip(histogram.bounds, accumulate(histogram.counts), strict=False))
