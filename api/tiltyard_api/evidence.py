"""What engines count of a canary, as `/status` tells it, and what an operator keeps of it.

A unit is what was randomised: the hash key, or the request where there is none. Units that are keys
are told apart by their draw, so that the sets of several engines can be united and no user counts
twice; requests are plain numbers, kept for each incarnation of an engine.
"""

from base64 import b64decode
from typing import Annotated, Self

from pydantic import Field, model_validator

from tiltyard_api.base import Contract
from tiltyard_api.v1alpha1.stage import Guard, Latch

MOST_KEYS = 4096
"""Draws that one set holds."""

WORD = 8
"""Bytes of a draw."""

Keys = Annotated[str, Field(max_length=-(-MOST_KEYS * WORD // 3) * 4 + 4)]
"""Draws in ascending order, each 8 bytes, big endian, all in base64."""


class Units(Contract):
    """Units of one sort."""

    count: int = Field(default=0, ge=0)
    """Requests; the number of `keys` where units are keys."""

    keys: Keys | None = None

    @model_validator(mode="after")
    def _keys_are_counted(self) -> Self:
        try:
            raw = b64decode(self.keys or "", validate=True)
        except ValueError as error:
            raise ValueError("its keys are no base64: write the draws anew") from error
        if self.keys is not None and len(raw) != WORD * self.count:
            raise ValueError(f"{len(raw)} bytes are no {self.count} draws: write them anew")
        return self


class Tally(Contract):
    """What one variant has done in a stage."""

    units: Units = Units()
    """All; where units are keys, a sample of them: those that the `level` lets pass."""

    errors: Units = Units()
    """Those that it failed at least once."""

    latency: Units = Units()
    """Those that it kept waiting at least once, for longer than the latency guard has it."""

    invalid: Units = Units()
    """Those that it gave an output that is not finite at least once."""


class CanaryCounts(Contract):
    """What one engine counted of one canary since its stage was put in force."""

    incarnation: str = Field(max_length=64)
    """Of the engine's counters: a restart that finds them goes on with them, and with this."""

    stage: str = Field(max_length=64)
    keyed: bool
    """Units are hash keys."""

    level: int = Field(default=0, ge=0, le=63)
    """The sample of `units` holds one draw in 2^level, told by `tiltyard_core.units.sampled`. It
    grows where the sample would not fit."""

    stable: Tally
    candidate: Tally
    saturated: tuple[Guard, ...] = ()
    """Guards whose bad units no longer fit: nothing more is added for either variant."""


class CanaryReport(Contract):
    """What one engine says of one canary."""

    counts: CanaryCounts
    latch: Latch | None = None
    """Set where the engine itself took the candidate out of the way, in this run."""


class CanaryLedger(Contract):
    """What was ever counted of a canary's stage, by all engines: content of the evidence."""

    stage: str = Field(max_length=64)
    known: tuple[CanaryCounts, ...] = ()
    """The last word of each incarnation; where units are keys, one that unites all."""
