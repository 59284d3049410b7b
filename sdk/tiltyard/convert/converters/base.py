"""What every converter gives, and how it says what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]
Record = Mapping[str, Any]
Rows = Sequence[Record] | None
"""Records that a user gave; None where rows are to be made up."""

MADE_UP = 64
"""Rows that are made up where a user gives none."""

SEED = 20
"""Of what is made up: a second run tries the same."""

OPSET = 17
"""Old enough for any onnxruntime of the last years."""

ML_OPSET = 3
"""The same of `ai.onnx.ml`."""


class Fault(Exception):  # noqa: N818 - what is told to a user, in words
    """A model that cannot be converted."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """A converted model and what its original answers to sample rows."""

    model: bytes
    inputs: Arrays
    """Sample rows, by the names of the graph."""

    outputs: Arrays
    """What the original answers to them, by the names of the graph."""

    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Names of the columns that an input stacks, where the model knows them."""


def chance() -> np.random.Generator:
    """Give the generator of made-up rows."""
    return np.random.default_rng(SEED)


def column(rows: Sequence[Record], name: str) -> list[Any]:
    """Values of a column of records.

    Raises:
        Fault: a record has no such column.

    """
    for number, row in enumerate(rows):
        if name not in row:
            known = ", ".join(map(str, row)) or "nothing"
            raise Fault(f"row {number} of --rows lacks {name!r} (it has {known}): add it")
    return [row[name] for row in rows]


def tensor(rows: Sequence[Record], name: str, kind: Any, shape: Sequence[int]) -> Array:  # noqa: ANN401 - a dtype
    """Stack what records hold for an input of this type and shape of a row.

    Raises:
        Fault: a value is missing, or of another type or shape.

    """
    values = column(rows, name)
    try:
        stacked = np.array(values, object if np.dtype(kind).kind in "OSU" else kind)
        return stacked.reshape(len(rows), *shape)
    except (TypeError, ValueError, OverflowError) as error:
        wanted = f"{np.dtype(kind).name} of shape {list(shape)}"
        raise Fault(f"{name!r} in --rows is not {wanted} in every row: {error}") from error


def made_up(kind: Any, shape: Sequence[int]) -> Array:  # noqa: ANN401 - a dtype
    """Make up rows of an input of which no more is known than its type and shape."""
    draw, whole = chance(), (MADE_UP, *shape)
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return draw.integers(0, 2, whole).astype(bool)
    if dtype.kind in "iu":
        return draw.integers(0, 2, whole).astype(dtype)
    if dtype.kind == "f":
        return draw.normal(size=whole).astype(dtype)
    words = np.array(["text", "other", ""], object)
    return np.asarray(words[draw.integers(0, len(words), whole)])
