"""A challenger beside its champion: how often they agree, and how long each takes."""

from collections.abc import Sequence

from tiltyard_api.figures import Confusion, VariantFigures
from tiltyard_api.v1alpha1.verdict import Agreement, Flips, Rate, Times
from tiltyard_core.experiments.fixed import wilson
from tiltyard_core.histograms import mean, merged, quantile

ALPHA = 0.05
"""Of the intervals of rates."""


def beside(
    step: str,
    champion: tuple[str, Sequence[VariantFigures]],
    challenger: tuple[str, Sequence[VariantFigures]],
) -> Agreement:
    """Compare a challenger with its champion.

    Args:
        step: the shadow's.
        champion: its name, and what each engine has counted of it.
        challenger: likewise.

    """
    name, parts = challenger
    compared = sum(one.compared or 0 for one in parts)
    matched = sum(one.matched or 0 for one in parts)
    low, high = wilson(matched, compared, ALPHA)
    return Agreement(
        step=step,
        challenger=name,
        champion=champion[0],
        compared=compared,
        matched=matched,
        rate=matched / compared if compared else None,
        low=low,
        high=high,
        flips=_flips([one.confusion for one in parts if one.confusion]),
        times=_times(parts),
        champion_times=_times(champion[1]),
    )


def _flips(parts: Sequence[Confusion]) -> Flips | None:
    if not parts:
        return None
    above = sum(one.both_above for one in parts)
    below = sum(one.both_below for one in parts)
    negatives = sum(one.false_negatives for one in parts)
    positives = sum(one.false_positives for one in parts)
    flips = negatives + positives
    return Flips(
        both_above=above,
        both_below=below,
        flips=_rate(flips, above + below + flips),
        false_negatives=_rate(negatives, above + negatives),
        false_positives=_rate(positives, below + positives),
    )


def _rate(count: int, of: int) -> Rate:
    low, high = wilson(count, of, ALPHA)
    return Rate(count=count, of=of, rate=count / of if of else None, low=low, high=high)


def _times(parts: Sequence[VariantFigures]) -> Times:
    seconds = merged([one.seconds for one in parts])
    if seconds is None:
        return Times(calls=0)
    return Times(
        calls=sum(seconds.counts),
        mean=mean(seconds),
        median=quantile(seconds, 0.5),
        p95=quantile(seconds, 0.95),
        p99=quantile(seconds, 0.99),
    )
