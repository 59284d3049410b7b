"""What every wire format of `/pipelines/NAME` is: bytes to tensors, and a call to bytes."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from tiltyard_engine.call import Call
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.columns import Columns

Values = NDArray[Any] | list[Any]
"""A column as it was sent: an array with an axis of rows, or one array or plain value a row."""


class Sent(Protocol):
    """The request's own columns, which answers repeat.

    Each format keeps them in its own form and repeats them quickest to itself; every other format
    takes them through `columns`.
    """

    def columns(self) -> Mapping[str, Values]:
        """All of them by name, in the order in which they were sent."""


class Taken(msgspec.Struct):
    """A body as tensors and hash keys."""

    rows: int
    tensors: Columns
    fields: dict[str, list[object]]
    sent: Sent


class Codec(Protocol):
    """One wire format for one plan."""

    header: bytes
    """The Content-Type of its answers, as a header line."""

    def read(self, body: bytes) -> Taken:
        """Decode a request.

        Raises:
            Refusal: with the reason, and the column and the row where they are known.

        """

    def write(self, call: Call, sent: Sent, now: int, chosen: Selection) -> bytes:
        """Encode a finished call.

        Args:
            call: with outputs.
            sent: the request's own columns.
            now: milliseconds since 1970.
            chosen: what the client asked for.

        """


def listed(values: Values) -> list[Any]:
    """A column as plain values."""
    return values.tolist() if isinstance(values, np.ndarray) else values
