"""How well scores tell labels: what a confusion matrix says, and the area under the ROC curve."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiltyard_api.experiment import BINS, WHOLE, ExperimentSums, LabelSums
from tiltyard_core.experiments.arrays import unpacked


@dataclass(frozen=True, slots=True)
class Area:
    """Area under a ROC curve."""

    value: float
    error: float
    """It is at most so far from the area of the scores themselves, which fell into bins."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How well a variant classifies; None where there is nothing to divide by."""

    values: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    area: Area | None


def quality(sums: ExperimentSums, metric: str, variant: str) -> Quality | None:
    """Say how well a variant classifies, over all strata; None: it has no labels.

    A score is compared with the label of the same row: these figures are of one variant alone, and
    what shares were in force is no matter.
    """
    found = [
        label
        for stratum in sums.strata
        if (known := stratum.variants.get(variant)) and metric in known.metrics
        if (label := known.metrics[metric].label)
    ]
    return _quality(found) if found else None


def _quality(parts: Sequence[LabelSums]) -> Quality:
    tn, fp, fn, tp = (sum(column) for column in zip(*(one.confusion for one in parts), strict=True))
    bins = [
        sum(column) for column in zip(*(unpacked(WHOLE, one.scores) for one in parts), strict=True)
    ]
    return Quality(
        values=tn + fp + fn + tp,
        accuracy=_share(tp + tn, tn + fp + fn + tp),
        precision=_share(tp, tp + fp),
        recall=_share(tp, tp + fn),
        f1=_share(2 * tp, 2 * tp + fp + fn),
        area=area(bins[:BINS], bins[BINS:]),
    )


def area(negatives: Sequence[int], positives: Sequence[int]) -> Area | None:
    """Probability that a row of label 1 has the higher score, of two rows; ties count half.

    Within a bin nobody knows which of two scores is higher. Half is assumed; the error is the other
    half.

    Args:
        negatives: rows of label 0, by bin of their score.
        positives: rows of label 1.

    """
    pairs = sum(negatives) * sum(positives)
    if not pairs:
        return None
    below, sure, tied = 0, 0, 0
    for no, yes in zip(negatives, positives, strict=True):
        sure += yes * below
        tied += yes * no
        below += no
    return Area((sure + tied / 2) / pairs, tied / 2 / pairs)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
