"""A canary: a candidate that gets more and more of the requests, as long as it does well."""

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, cel
from tiltyard_api.quantities import Duration
from tiltyard_api.v1alpha1.hashkey import HashKey
from tiltyard_api.v1alpha1.models import Label

MOST_CANARIES = 4
"""Canaries of one Pipeline: what is known of their users must fit into one ConfigMap."""

ONE_RAMP = "give exactly one of linear and steps: how the share grows"


class LinearRamp(Contract):
    """Ten stages of equal height and length."""

    duration: Duration
    """Time from the first stage to the end of the last."""

    target: float = Field(default=100, ge=1, le=100)
    """Percent that the candidate gets in the end."""


class RampStep(Contract):
    """One stage."""

    weight: float = Field(ge=0, le=100)
    """Percent that the candidate gets."""

    hold: Duration | None = None
    """How long at least; without it the stage lasts until it is promoted."""


class Ramp(Contract):
    """How the candidate's share grows."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.linear) != has(self.steps)",
                ONE_RAMP,
            ),
            (
                "!has(self.steps) || self.steps.map(s, s.weight).isSorted()",
                "a ramp never falls: order the steps by weight",
                ".steps",
            ),
        )
    )

    linear: LinearRamp | None = None
    steps: tuple[RampStep, ...] | None = Field(default=None, min_length=1, max_length=20)
    """Stages in order; their weights never fall."""


class RelativeGuard(Contract):
    """Compares the candidate with the stable model."""

    margin: float = Field(default=0.5, ge=0, le=100)
    """How much worse is put up with: 0.5 is half as many again."""


class ErrorGuard(RelativeGuard):
    """Watches units that the candidate fails."""

    max_excess: float | None = Field(default=None, gt=0, le=1)
    """A stage ends only when the candidate's error share is shown to be less than this above the
    stable model's."""


class LatencyGuard(RelativeGuard):
    """Watches units that wait long."""

    above: Duration
    """A slow answer takes longer than this."""


class Guards(Contract):
    """What rolls a candidate back, and what a stage must have shown before the next."""

    errors: ErrorGuard = ErrorGuard()
    latency: LatencyGuard | None = None
    invalid: RelativeGuard = RelativeGuard()
    """Watches outputs that are not finite."""

    alpha: float = Field(default=0.01, gt=0, le=0.5)
    """Most probability that a candidate which is no worse is rolled back, over the whole ramp."""

    min_units: int = Field(default=200, ge=0, le=10**9)
    """Units that the candidate must have had before a stage ends."""


class Canary(Contract):
    """A candidate takes over from the stable model in stages, and is rolled back where it fails."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.stable != self.candidate",
                "a model cannot be its own candidate: name another",
                ".candidate",
            ),
        )
    )

    stable: Label
    """The model that serves."""

    candidate: Label
    """The model that may take over."""

    hash_key: HashKey | None = None
    """Without it every request is a unit of its own."""

    ramp: Ramp
    guards: Guards = Guards()
