"""What feedback comes to, as an engine's `/status` tells it and as an operator keeps it.

Everything here is a sum, or the largest of several values: what two engines counted is added place
by place, in any order. Its size does not depend on how much feedback or how many users there were.

Arrays are written little-endian in base64. Where there is one number a bucket, the bucket of a unit
is `mixed(draw) % BUCKETS`: all feedback of one user falls into the same bucket, so that buckets
differ from each other by chance as users do, however much one user sends.
"""

from base64 import b64decode
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from tiltyard_api.base import Contract

BUCKETS = 128
"""Groups of units; also the registers that estimate how many units there were."""

BINS = 256
"""Equal steps of the score, between 0 and 1."""

MOST_WINS = 2048
"""Units whose wins are kept apart."""

MOST_DRAWN = 2048
"""Users that are told apart in a stratum, over all of its variants."""

MOST_STRATA = 32
MOST_METRICS = 8

WHOLE, REAL, BYTE, NET = "Q", "d", "B", "i"
"""Sorts of numbers, as `struct` and `array` call them."""

WIDTHS = {WHOLE: 8, REAL: 8, BYTE: 1, NET: 4}
"""Bytes of each."""

Array = Annotated[str, Field(max_length=-(-MOST_WINS * WIDTHS[WHOLE] // 3) * 4 + 4)]


def _sized(text: str, kind: str, places: int, name: str) -> None:
    try:
        raw = b64decode(text, validate=True)
    except ValueError as error:
        raise ValueError(f"{name} is no base64: write it anew") from error
    if len(raw) != WIDTHS[kind] * places:
        raise ValueError(f"{name} has {len(raw)} bytes, not {WIDTHS[kind] * places}: write it anew")


class LabelSums(Contract):
    """What labels say of scores."""

    scores: Array
    """`BINS` whole numbers for the label 0, then as many for 1: scores by bin."""

    confusion: Array
    """At the threshold, by bucket: true negatives, then false positives, false negatives and true
    positives."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _sized(self.scores, WHOLE, 2 * BINS, "scores")
        _sized(self.confusion, WHOLE, 4 * BUCKETS, "confusion")
        return self


class MetricSums(Contract):
    """One metric of one variant in one stratum."""

    counts: Array
    """Values by bucket."""

    sums: Array
    """Their sums, by bucket. The value of a label is whether the prediction was right: 1 or 0."""

    squares: float = Field(ge=0)
    """Sum of the squares of the values."""

    registers: Array
    """How many units gave feedback, as a HyperLogLog of one byte a register."""

    clustered: bool = False
    """Some unit may have given several values: they are not independent of each other."""

    label: LabelSums | None = None
    """Only where the metric is of labels."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _sized(self.counts, WHOLE, BUCKETS, "counts")
        _sized(self.sums, REAL, BUCKETS, "sums")
        _sized(self.registers, BYTE, BUCKETS, "registers")
        return self


class WinSums(Contract):
    """Which ranker each unit preferred."""

    level: int = Field(default=0, ge=0, le=63)
    """One unit in 2^level is here, told by `tiltyard_core.units.sampled`."""

    draws: Array
    """The units, ascending."""

    nets: Array
    """For each: what its places of the first ranker got, less what those of the second got."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        units = len(b64decode(self.draws)) // WIDTHS[WHOLE]
        if units > MOST_WINS:
            raise ValueError(f"{units} units are more than {MOST_WINS}: raise the level")
        _sized(self.draws, WHOLE, units, "draws")
        _sized(self.nets, NET, units, "nets")
        return self


class VariantSums(Contract):
    """One variant in one stratum."""

    assigned: Array
    """Requests, and keys of divided ones, that were drawn for it, by bucket; none of rankers."""

    drawn: Array = ""
    """Where units are hash keys: the different ones among these, ascending, as far as the level of
    the stratum lets them pass."""

    metrics: dict[str, MetricSums] = Field(max_length=MOST_METRICS)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        _sized(self.assigned, WHOLE, BUCKETS, "assigned")
        _sized(self.drawn, WHOLE, len(b64decode(self.drawn)) // WIDTHS[WHOLE], "drawn")
        return self


class StratumSums(Contract):
    """What was counted while certain shares were in force."""

    id: str = Field(max_length=64)
    """The same for the same shares."""

    since: AwareDatetime
    """When it first was in force."""

    shares: dict[str, float] = Field(max_length=16)
    """Of each variant, 0 to 1, in the order of the manifest; 1 of each of two rankers.
    Empty where an engine took feedback on answers that others gave under shares it never had."""

    level: int = Field(default=0, ge=0, le=63)
    """One user in 2^level is among those `drawn`."""

    variants: dict[str, VariantSums] = Field(max_length=16)
    wins: dict[str, WinSums] = Field(default={}, max_length=MOST_METRICS)
    """By metric, where rankers are interleaved."""


class ExperimentSums(Contract):
    """All feedback of an experiment that one engine has taken, or all of them."""

    id: str = Field(max_length=64)
    """Of step, variants, metrics, key: where one of them is another, so is the experiment."""

    incarnation: str = Field(max_length=64)
    """Of the engine's counters: its word replaces the one before it."""

    keyed: bool
    """Units are hash keys."""

    strata: tuple[StratumSums, ...] = Field(default=(), max_length=MOST_STRATA)
