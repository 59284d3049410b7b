"""How well scores tell labels: what a confusion matrix says, and the area under the ROC curve.

Every figure has an interval for one look at the end (95 %), unlike comparisons, whose intervals
hold always. All are Wilson's, over as many rows as the estimate is worth:

- Accuracy, precision and recall are shares of rows. F1 is 2s/(1 + s), where s is the share of true
  positives in all that is positive by score or label, and grows with it: its interval is that of s.
- Where a unit may give several labels, rows are worth as many as would spread as buckets of units
  do (Kish, "Survey sampling", 1965; so used in Wilson's interval by Franco, Little, Louis and Slud,
  "Comparative study of confidence intervals for proportions in complex sample surveys", J. Survey
  Statistics and Methodology 2019).
- The area has the variance of DeLong, DeLong and Clarke-Pearson ("Comparing the areas under two or
  more correlated receiver operating characteristic curves", Biometrics 1988), widened by what bins
  hide. It takes rows to be independent: where units give several, there is no interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tiltyard_api.experiment import BINS, BUCKETS, WHOLE, ExperimentSums, MetricSums
from tiltyard_api.v1alpha1.verdict import Interval, LabelQuality
from tiltyard_core.experiments.arrays import unpacked
from tiltyard_core.experiments.difference import LEAST_BUCKETS
from tiltyard_core.experiments.fixed import wilson
from tiltyard_core.experiments.special import as_student, normal_quantile

Z = normal_quantile(0.975)


@dataclass(frozen=True, slots=True)
class Share:
    """Rows of which something holds, of rows that could be so, by bucket of units."""

    parts: Sequence[int]
    wholes: Sequence[int]

    @property
    def value(self) -> float | None:
        """None: there is nothing to divide by."""
        return sum(self.parts) / sum(self.wholes) if any(self.wholes) else None

    def interval(self, *, clustered: bool) -> tuple[float, float] | None:
        """Give an interval; None: too few units to tell.

        Args:
            clustered: a unit may be there with several rows.

        """
        value, rows = self.value, sum(self.wholes)
        worth = self._worth() if clustered else rows
        return wilson(value * worth, worth) if value is not None and worth else None

    def _worth(self) -> float | None:
        """Independent rows whose share would spread as much as those of buckets do."""
        value, rows, used = self.value or 0.0, sum(self.wholes), sum(map(bool, self.wholes))
        if used < LEAST_BUCKETS:
            return None
        pairs = zip(self.parts, self.wholes, strict=True)
        strays = sum(((part - value * whole) / rows) ** 2 for part, whole in pairs)
        if not strays:  # as good as if each bucket held one unit, which came again and again
            return used
        spread = strays * used / (used - 1) * (as_student(Z, used - 1) / Z) ** 2
        return min(rows, value * (1 - value) / spread)


@dataclass(frozen=True, slots=True)
class Area:
    """Area under a ROC curve."""

    value: float
    error: float
    """It is at most so far from the area of the scores themselves, which fell into bins: half of
    the pairs of a 0 and a 1 that share a bin."""

    low: float
    high: float
    """Of an interval for the area of the scores themselves, where rows are independent."""


def quality(sums: ExperimentSums, metric: str, variant: str) -> LabelQuality | None:
    """Say how well a variant classifies, over all strata; None: it has no labels.

    A score is compared with the label of the same row: these figures are of one variant alone, and
    what shares were in force is no matter.
    """
    found = [
        known.metrics[metric]
        for stratum in sums.strata
        if (known := stratum.variants.get(variant)) and metric in known.metrics
    ]
    parts = [one for one in found if one.label]
    return _quality(metric, variant, parts) if parts else None


def _quality(metric: str, variant: str, parts: Sequence[MetricSums]) -> LabelQuality:
    labels = [one.label for one in parts if one.label]
    cells = _added([one.confusion for one in labels])
    tn, fp, fn, tp = (cells[at : at + BUCKETS] for at in range(0, 4 * BUCKETS, BUCKETS))
    bins = _added([one.scores for one in labels])
    curve = area(bins[:BINS], bins[BINS:])
    shares = {
        "accuracy": Share(_each(tn, tp), _each(tn, fp, fn, tp)),
        "precision": Share(tp, _each(fp, tp)),
        "recall": Share(tp, _each(fn, tp)),
    }
    clustered = any(one.clustered for one in parts)
    ends = {name: one.interval(clustered=clustered) for name, one in shares.items()}
    positive = Share(tp, _each(fp, fn, tp)).interval(clustered=clustered)
    ends["f1"] = positive and (_f1(positive[0]), _f1(positive[1]))
    ends["rocAuc"] = (curve.low, curve.high) if curve and not clustered else None
    known = {name: Interval(low=one[0], high=one[1]) for name, one in ends.items() if one}
    return LabelQuality(
        metric=metric,
        variant=variant,
        values=sum(cells),
        accuracy=shares["accuracy"].value,
        precision=shares["precision"].value,
        recall=shares["recall"].value,
        f1=Share(_each(tp, tp), _each(tp, fp, fn, tp)).value,
        roc_auc=curve.value if curve else None,
        roc_auc_error=curve.error if curve else None,
        fixed_intervals=known or None,
    )


def _f1(share: float) -> float:
    """Give F1 by the share of true positives in all that is positive by score or label."""
    return 2 * share / (1 + share)


def area(negatives: Sequence[int], positives: Sequence[int]) -> Area | None:
    """Probability that a row of label 1 has the higher score, of two rows; ties count half.

    Within a bin nobody knows which of two scores is higher. Half is assumed; the error is the other
    half.

    Args:
        negatives: rows of label 0, by bin of their score.
        positives: rows of label 1.

    """
    no, yes = sum(negatives), sum(positives)
    if not no or not yes:
        return None
    wins, losses, below, above = [], [], 0, yes
    for zeros, ones in zip(negatives, positives, strict=True):
        above -= ones
        wins.append((below + zeros / 2) / no)  # of a 1 in this bin, over zeros
        losses.append((above + ones / 2) / yes)  # of a 0 in this bin, to ones
        below += zeros
    value = sum(one * won for one, won in zip(positives, wins, strict=True)) / yes
    spread = _variance(wins, positives, value) + _variance(losses, negatives, value)
    tied = sum(zeros * ones for zeros, ones in zip(negatives, positives, strict=True))
    error = tied / 2 / no / yes
    # no variance exceeds that of as many rows as there are of the rarer label (Birnbaum and Klose,
    # 1957), which stands in where none was seen, as with scores that are all in order
    worth = max(min(no, yes), value * (1 - value) / spread if spread else 0.0)
    low, high = wilson(value * worth, worth)
    return Area(value, error, max(0.0, low - error), min(1.0, high + error))


def _variance(values: Sequence[float], counts: Sequence[int], mean: float) -> float:
    """Give the variance of a mean of values, each of which is there so often."""
    total = sum(counts)
    squares = sum(count * (one - mean) ** 2 for one, count in zip(values, counts, strict=True))
    return squares / max(1, total - 1) / total


def _added(texts: Sequence[str]) -> list[int]:
    return [sum(column) for column in zip(*(unpacked(WHOLE, one) for one in texts), strict=True)]


def _each(*parts: Sequence[int]) -> list[int]:
    """Add up by bucket."""
    return [sum(column) for column in zip(*parts, strict=True)]
