"""One request on its way through the steps of a Pipeline.

The records are msgspec structs: several are made for every request, at a third of the cost of
dataclasses. What few calls have begins as an empty tuple, which costs nothing.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import msgspec

from tiltyard_api.reasons import Reason
from tiltyard_engine.columns import Columns
from tiltyard_engine.comparison import Compared
from tiltyard_engine.errors import Refusal

NOTHING: Mapping[str, dict[str, Columns | None]] = MappingProxyType({})

NO_VERDICTS: Mapping[str, bytes] = MappingProxyType({})


class Served(msgspec.Struct):
    """Which variants a routing step sent the rows of a call to."""

    variants: list[str]
    """One entry a part; a batch that was not divided is one part."""

    rows: list[list[int]] | None = None
    """Rows of each part; None: one part with all of them."""

    part_of: list[int] = []
    """The part of each row, where there is more than one."""

    counted: bool = True
    """False keeps the call out of the statistics: pinned, or without its hash key."""

    draws: Sequence[int] = ()
    """Draw of the call, or of each row: the name of a unit in statistics. None where pinned."""

    stage: str = ""
    """Of the ramp that was in force at the draw."""

    ends: tuple[int, ...] = ()
    """Intervals that were in force at the draw."""


class Run(msgspec.Struct):
    """One model's part in a call, as the metrics count it."""

    step: str
    variant: str
    rows: int
    seconds: float
    reason: Reason | None = None
    """Why the model gave nothing, if it did not."""

    nonfinite: int = 0
    """NaN and infinities among its outputs."""


class Call(msgspec.Struct):
    """A decoded request and, step by step, what became of it.

    Transport and wire format are gone: what is left are tensors, keys and names.
    """

    rows: int
    tensors: Columns
    """The request's tensors by their key in the plan."""

    fields: Mapping[str, list[object]]
    """Columns that hold hash keys, one value a row; absent where the request has none."""

    headers: Mapping[bytes, bytes]
    identity: str | None = None
    """The client's own id, which draws where no hash key does."""

    pins: Mapping[str, str] = {}
    """Variants that the request asks for, by step."""

    inference_id: str = ""
    row_ids: Sequence[str] | None = None
    """Of the rows, where an experiment needs to tell them apart."""

    parsed: int = 0
    """Nanoseconds that decoding took."""

    outputs: dict[str, Columns] = {}
    """Outputs of each step."""

    beside: Mapping[str, dict[str, Columns | None]] = NOTHING
    """Outputs of challengers that answer, by step and model; None: it gave nothing in time."""

    served: dict[str, Served] = {}
    ranked: dict[str, Served] = {}
    """Likewise of steps that interleave: all of their variants serve every row."""

    mirrors: tuple[tuple[str, Sequence[str]], ...] = ()
    """Steps and those of their challengers that are to see the call once it is answered."""

    offers: tuple[tuple[str, str, bool], ...] = ()
    """Step, challenger and whether its lane took it, of challengers that answer."""

    elapsed: list[int] = []
    """Nanoseconds of each step."""

    compared: tuple[tuple[str, str, Compared], ...] = ()
    """Step, challenger, and how its rows compare with the champion's."""

    runs: list[Run] = []
    missing_keys: tuple[str, ...] = ()
    """Steps whose hash key the request lacked."""

    anomalies: Mapping[str, bytes] = NO_VERDICTS
    """What each validation says of each row, by its name: see `validations/verdicts.py`."""

    refusal: Refusal | None = None
    recorded: bool = False
    """Whether it is written down, with what challengers make of it."""

    @property
    def divided(self) -> bool:
        """Whether rows of the call went to different variants."""
        return any(served.rows is not None for served in self.served.values())

    @property
    def rows_apart(self) -> bool:
        """Whether rows have ids of their own."""
        return self.row_ids is not None or self.divided

    def row_id(self, row: int) -> str:
        """Inference id of a row: its own where rows have some."""
        if self.row_ids is not None:
            return self.row_ids[row]
        return f"{self.inference_id}-{row}" if self.divided else self.inference_id

    def refuse(self, refusal: Refusal, step: str) -> None:
        """End the call: what a model could not do is told with the step's name in front."""
        if self.refusal is None:
            refusal.message = f"step {step!r}: {refusal.message}"
            self.refusal = refusal
