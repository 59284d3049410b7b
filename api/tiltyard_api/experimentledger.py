"""What an operator keeps of an experiment: content of the evidence."""

from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.experiment import ExperimentSums

MOST_GONE = 1000
"""Engines that are gone whose names are remembered."""


class Heard(Contract):
    """The last word of one engine."""

    pod: str = Field(max_length=253)
    sums: ExperimentSums


class ExperimentLedger(Contract):
    """What was ever counted of an experiment, by all engines."""

    id: str = Field(max_length=64)
    known: tuple[Heard, ...] = ()
    """Of engines that may say more."""

    gone: ExperimentSums | None = None
    """Of all others."""

    over: tuple[str, ...] = Field(default=(), max_length=MOST_GONE)
    """Incarnations that are in `gone`: whatever they still say is there already."""

    dropped: int | None = Field(default=None, ge=1)
    """Sets of weights that `gone` has no room for, the oldest; None: it holds all."""
