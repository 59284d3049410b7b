"""What all workers together have counted of one variant, for those who sum up over engines."""

from itertools import pairwise

from tiltyard_api.figures import Confusion, Histogram, VariantFigures
from tiltyard_engine.counters import BUCKETS, CounterFile, HistogramValue, Series
from tiltyard_engine.metrics import MATCHES, MODEL_REASONS, confusion_series


def figures_of(counters: CounterFile, variant: tuple[str, ...]) -> VariantFigures:
    """Read the counters of a variant.

    Args:
        counters: of the engine.
        variant: Pipeline, step and model.

    """
    matches = [Series("tiltyard_shadow_compared_total", (*variant, one)) for one in MATCHES]
    matched = [counters.total(one) for one in matches if one in counters.layout.offsets]
    reasons = [Series("tiltyard_variant_errors_total", (*variant, one)) for one in MODEL_REASONS]
    errors = sum(map(counters.total, reasons))  # first: what fails meanwhile is a request already
    seconds = Series("tiltyard_variant_seconds", variant, histogram=True)
    return VariantFigures(
        requests=counters.total(Series("tiltyard_variant_requests_total", variant)),
        rows=counters.total(Series("tiltyard_variant_rows_total", variant)),
        errors=errors,
        seconds=_histogram(counters.total_histogram(seconds)),
        compared=sum(matched) if matched else None,
        matched=matched[0] if matched else None,
        confusion=_confusion(counters, variant),
    )


def _confusion(counters: CounterFile, variant: tuple[str, ...]) -> Confusion | None:
    series = [one for one in confusion_series(variant) if one in counters.layout.offsets]
    if not series:
        return None
    both_above, both_below, negatives, positives = map(counters.total, series)
    return Confusion(
        both_above=both_above,
        both_below=both_below,
        false_negatives=negatives,
        false_positives=positives,
    )


def _histogram(value: HistogramValue) -> Histogram:
    counts = tuple(high - low for low, high in pairwise((0, *value.cumulative)))
    return Histogram(bounds=BUCKETS, counts=counts, sum=value.sum)
