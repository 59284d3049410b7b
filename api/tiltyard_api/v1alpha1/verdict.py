"""What an experiment has shown so far."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from tiltyard_api.figures import Disagreement
from tiltyard_api.v1alpha1.models import Label
from tiltyard_api.v1alpha1.reported import Reported, Text


class Finding(StrEnum):
    """What is known of a variant beside the control, by one metric."""

    BETTER = "better"
    WORSE = "worse"
    OPEN = "open"
    """Enough units, and no difference is shown."""

    FEW = "few"
    """One of the two has had fewer units than the experiment wants."""

    BLOCKED = "blocked"
    """Something else than chance decides who is counted: the figures mean nothing."""


class Wins(Reported):
    """How many units preferred which ranker."""

    wins: int
    """Preferred the variant."""

    control_wins: int
    ties: int
    sampled: float
    """Share of the units that is kept; 1: all of them."""

    p: float
    """Always-valid p-value of both rankers winning equally often."""

    sign_p: float
    """Of the sign test, for one look at the end."""


MOST_MOMENTS = 64
"""Of a comparison; when there are more, every second is forgotten."""


class Moment(Reported):
    """What was known of a comparison earlier."""

    at: AwareDatetime
    units: int
    """Of both."""

    estimate: float
    low: float | None = None
    high: float | None = None


class Comparison(Reported):
    """A variant beside the control, by one metric."""

    metric: Label
    variant: Label
    control: Label
    """The first variant of the step."""

    finding: Finding
    units: int
    """About how many of the variant have given feedback."""

    control_units: int
    mean: float | None = None
    """Of the variant's values, whatever the shares were."""

    control_mean: float | None = None
    estimate: float | None = None
    """Difference, variant less control, within strata of equal shares; of two rankers what the
    variant got more of each credited value."""

    low: float | None = None
    """Lower end of the interval that holds the difference at all times at once; absent: none."""

    high: float | None = None
    p: float | None = None
    """Always-valid p-value of there being no difference."""

    method: Text | None = None
    """How interval and p-value are made."""

    fixed_test: Text | None = None
    """Test for one look at the end, to compare with."""

    fixed_p: float | None = None
    needed: float | None = None
    """So many times the feedback there is would do for a verdict, if the difference is what it
    looks like. Absent: beyond a thousand times."""

    wins: Wins | None = None
    """Of two rankers."""

    history: tuple[Moment, ...] | None = Field(default=None, max_length=MOST_MOMENTS)
    """How it came to be so, oldest first; of the metric that decides alone."""


FIGURES = {
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "rocAuc": "ROC-AUC",
}
"""Of scores and labels: fields as JSON spells them, and what people call them."""


class Interval(Reported):
    """Where a figure lies."""

    low: float
    high: float


class LabelQuality(Reported):
    """How well a variant's scores tell labels."""

    metric: Label
    variant: Label
    values: int
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    roc_auc: float | None = None
    roc_auc_error: float | None = None
    """At most so much of it is made by bins."""

    fixed_intervals: dict[str, Interval] | None = Field(default=None, max_length=5)
    """95 %, by figure, for one look at the end."""


class Verdict(Reported):
    """What an experiment has shown so far."""

    metric: Label
    """By which it is decided."""

    conclusive: bool
    reason: Text
    message: Text
    best: Label | None = None
    """Variant that is shown to be better, or the control where every other is shown to be worse."""

    comparisons: tuple[Comparison, ...] | None = Field(default=None, max_length=128)
    labels: tuple[LabelQuality, ...] | None = Field(default=None, max_length=16)


class Times(Reported):
    """How long a model takes, in seconds."""

    calls: int
    mean: float | None = None
    median: float | None = None
    p95: float | None = None
    p99: float | None = None


class Rate(Reported):
    """How often something happens, with the interval of Wilson, 95 %."""

    count: int
    of: int
    """Rows."""

    rate: float | None = None
    low: float
    high: float


class Flips(Reported):
    """Who says yes beside a threshold: the champion, its challenger, both or neither."""

    both_above: int
    both_below: int
    flips: Rate
    """Rows where one says yes and the other no."""

    false_negatives: Rate
    """The challenger says no, of what the champion says yes to."""

    false_positives: Rate
    """The challenger says yes, of what the champion says no to."""


class Agreement(Reported):
    """A challenger beside its champion."""

    step: Label
    challenger: Label
    champion: Label
    compared: int
    """Rows."""

    matched: int
    rate: float | None = None
    low: float
    """Lower end of the interval of Wilson, 95 %."""

    high: float
    flips: Flips | None = None
    """Where the comparison has a threshold."""

    worst: tuple[Disagreement, ...] | None = None
    """Where disagreements are kept: the worst first."""

    times: Times
    champion_times: Times


class Report(Reported):
    """All that is known of what a Pipeline tries."""

    pipeline: Text
    step: Label | None = None
    """Of the experiment."""

    alpha: float | None = None
    verdict: Verdict | None = None
    """Absent where there is no experiment."""

    shadows: tuple[Agreement, ...] | None = None
