"""The stages that a ramp goes through."""

from dataclasses import dataclass
from decimal import Decimal

from tiltyard_api.quantities import seconds
from tiltyard_api.v1alpha1.canary import Ramp

LINEAR_STAGES = 10
"""Stages of a linear ramp."""


@dataclass(frozen=True, slots=True)
class Height:
    """One stage as it is planned."""

    weight: float
    """Percent that the candidate gets."""

    hold: float | None
    """Seconds that it lasts at least; None: until somebody promotes it."""


def heights(ramp: Ramp) -> tuple[Height, ...]:
    """Give the stages of a ramp, in order."""
    if ramp.linear:
        hold = seconds(ramp.linear.duration) / LINEAR_STAGES
        step = Decimal(str(ramp.linear.target)) / LINEAR_STAGES
        return tuple(Height(float(step * n), hold) for n in range(1, LINEAR_STAGES + 1))
    return tuple(
        Height(step.weight, seconds(step.hold) if step.hold else None) for step in ramp.steps or ()
    )
