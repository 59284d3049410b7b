"""What an engine has counted of one variant of a step, as `/status` tells it."""

from typing import Annotated, Self

from pydantic import Field, JsonValue, model_validator

from tiltyard_api.v1alpha1.reported import Reported

Count = Annotated[int, Field(ge=0)]


class Histogram(Reported):
    """How often something took how long."""

    bounds: tuple[float, ...] = Field(max_length=64)
    """Upper bounds of the buckets, ascending, in seconds."""

    counts: tuple[Count, ...]
    """What fell into each bucket and, last, above all of them."""

    sum: float = Field(ge=0)
    """Seconds in all."""

    @model_validator(mode="after")
    def _buckets_have_counts(self) -> Self:
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError("counts: give one for each bound and one for what is above them all")
        if any(low >= high for low, high in zip(self.bounds, self.bounds[1:], strict=False)):
            raise ValueError("bounds: each must be above the one before it")
        return self


class Confusion(Reported):
    """Rows by who says yes, the champion or its challenger: both have a number there."""

    both_above: Count
    both_below: Count
    false_negatives: Count
    """The champion alone says yes."""

    false_positives: Count
    """The challenger alone says yes."""


class Disagreement(Reported):
    """A row in which a challenger does not match its champion."""

    at: Count
    """Milliseconds since 1970."""

    difference: float | None = None
    """The largest of any element; None: it cannot be said in numbers."""

    champion: JsonValue = None
    challenger: JsonValue = None
    inputs: dict[str, JsonValue] | None = None
    """What both were given; None: it was too large."""


class VariantFigures(Reported):
    """What one engine has counted of one variant since its counters began."""

    requests: Count
    rows: Count
    errors: Count
    """Requests that the variant failed."""

    seconds: Histogram
    """Of the calls of its model."""

    compared: Count | None = None
    """Rows of a challenger that were compared with the champion's; None: it is no challenger."""

    matched: Count | None = None
    """Those that agreed."""

    confusion: Confusion | None = None
    """Of a challenger whose comparison has a threshold."""
