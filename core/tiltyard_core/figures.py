"""How a variant fares, from what every engine has counted of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiltyard_api.figures import Confusion, VariantFigures
from tiltyard_core.histograms import merged, quantile

DIGITS = 6
"""Decimals of shares, and of seconds: what is beyond is no news."""


@dataclass(frozen=True, slots=True)
class Fares:
    """What people are told of a variant."""

    requests: int
    error_share: float | None
    """Of the requests; None: there were none."""

    p50: float | None
    p99: float | None
    """Seconds of the calls of its model; None: there were none."""

    match_rate: float | None
    """Of the rows that were compared; None: none were."""


def fares(parts: Sequence[VariantFigures]) -> Fares:
    """Sum up what engines have counted, each of which is there once."""
    requests = sum(one.requests for one in parts)
    seconds = merged([one.seconds for one in parts])
    compared = sum(one.compared or 0 for one in parts)
    return Fares(
        requests=requests,
        error_share=_share(sum(one.errors for one in parts), requests),
        p50=_rounded(quantile(seconds, 0.5)) if seconds else None,
        p99=_rounded(quantile(seconds, 0.99)) if seconds else None,
        match_rate=_share(sum(one.matched or 0 for one in parts), compared),
    )


def united(parts: Sequence[VariantFigures]) -> VariantFigures:
    """Add up what engines have counted, each of which is there once; there must be one."""
    seconds = merged([one.seconds for one in parts])
    confusions = [one.confusion for one in parts if one.confusion]
    return VariantFigures(
        requests=sum(one.requests for one in parts),
        rows=sum(one.rows for one in parts),
        errors=sum(one.errors for one in parts),
        seconds=seconds or parts[0].seconds,
        compared=_sum([one.compared for one in parts]),
        matched=_sum([one.matched for one in parts]),
        confusion=Confusion(
            both_above=sum(one.both_above for one in confusions),
            both_below=sum(one.both_below for one in confusions),
            false_negatives=sum(one.false_negatives for one in confusions),
            false_positives=sum(one.false_positives for one in confusions),
        )
        if confusions
        else None,
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    """Add counts up; None: nobody counted."""
    known = [one for one in counts if one is not None]
    return sum(known) if known else None


def _share(part: int, whole: int) -> float | None:
    return _rounded(part / whole) if whole else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
