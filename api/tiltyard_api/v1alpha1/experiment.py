"""An experiment: which outcomes tell whose variant is better, and how sure a verdict must be."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field

from tiltyard_api.base import BY_NAME, Contract, cel
from tiltyard_api.v1alpha1.models import SECRET_PATTERN, Label

SCORE_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?\..+$"

Score = Annotated[str, Field(pattern=SCORE_PATTERN, max_length=128)]
"""Where a score is found: `STEP.OUTPUT`."""

DIVIDING = ("split", "canary", "interleave")
"""Kinds of steps that an experiment can be about."""

DEFAULT_THRESHOLD = 0.5

ONE_LABEL = "an id carries one score: keep one label"


class MetricKind(StrEnum):
    """What the values of a metric are."""

    BINARY = "binary"
    """Yes or no: a purchase, a click."""

    COUNT = "count"
    """How often: a whole number from 0."""

    VALUE = "value"
    """How much: any number."""

    LABEL = "label"
    """What was true after all, yes or no, to be compared with a score."""


class Better(StrEnum):
    """Which direction is good."""

    HIGHER = "higher"
    LOWER = "lower"


class Metric(Contract):
    """One outcome that feedback tells of."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.score) == (self.kind == 'label')",
                "a label, and nothing else, is compared with a score: add it, or remove it",
                ".score",
            ),
            (
                "!has(self.threshold) || has(self.score)",
                "a threshold divides scores: add a score, or remove it",
                ".threshold",
            ),
        )
    )

    name: Label
    kind: MetricKind
    better: Better = Better.HIGHER
    goal: bool = False
    """True: the verdict is by this metric. At most one is; else the first of the list."""

    score: Score | None = None
    """Output that labels are compared with: one number a row, the higher the likelier."""

    threshold: float | None = None
    """Scores from here on count as yes; 0.5 where nothing is said."""


class Experiment(Contract):
    """Feedback on answers is summed up by variant."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.metrics.filter(m, has(m.goal) && m.goal).size() <= 1",
                "a verdict is by one metric: keep one goal",
                ".metrics",
            ),
            (
                "self.metrics.filter(m, m.kind == 'label').size() <= 1",
                ONE_LABEL,
                ".metrics",
            ),
        )
    )

    metrics: tuple[Metric, ...] = Field(min_length=1, max_length=8, json_schema_extra=BY_NAME)
    """Outcomes that feedback tells of."""

    alpha: float = Field(default=0.05, gt=0, le=0.5)
    """Most probability of a verdict where there is no difference, however often one looks."""

    min_units: int = Field(default=1000, ge=0, le=10**9)
    """Units that each variant must have had before there is a verdict."""

    id_secret_name: str | None = Field(default=None, pattern=SECRET_PATTERN, max_length=253)
    """Secret of the namespace whose `current` signs inference ids; `previous` and `next` are
    taken too. Without it ids are signed by a key that follows from the Pipeline's uid."""
