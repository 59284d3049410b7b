"""Models over a table of numbers: one input for all columns, made-up rows where splits lie."""

from collections.abc import Mapping, Sequence

import numpy as np

from .base import MADE_UP, Array, Fault, Record, Rows, chance

FEATURES = "features"
"""Name of the one input."""

Landmarks = Mapping[int, Sequence[float]]
"""Values around which a column is worth trying, by the column's number."""


def matrix(rows: Rows, count: int, names: Sequence[str] | None, landmarks: Landmarks) -> Array:
    """Sample rows of a table, given or made up, in the precision that the graph will see.

    Raises:
        Fault: a given row does not fit.

    """
    if rows is None:
        return _made_up(count, landmarks)
    return np.array([_row(row, n, count, names) for n, row in enumerate(rows)], np.float32)


def _row(row: Record, number: int, count: int, names: Sequence[str] | None) -> list[float]:
    values = row.get(FEATURES)
    if names is not None and values is None:
        missing = [name for name in names if name not in row]
        if missing:
            raise Fault(f"row {number} of --rows lacks {missing[0]!r}: add it")
        values = [row[name] for name in names]
    if values is None:
        values = list(row.values())
    if not isinstance(values, list) or len(values) != count:
        raise Fault(
            f"row {number} of --rows must have {count} numbers, in order or as a list {FEATURES!r}"
        )
    try:
        return [np.nan if value is None else float(value) for value in values]
    except (TypeError, ValueError) as error:
        raise Fault(f"row {number} of --rows holds what is no number: {error}") from error


def _made_up(count: int, landmarks: Landmarks) -> Array:
    return np.stack([around(landmarks.get(n, ()), n) for n in range(count)], 1)


def around(marks: Sequence[float], number: int) -> Array:
    """Make up a column: on its landmarks, between them, and on both sides of all."""
    draw = np.random.default_rng([int(chance().integers(2**32)), number])
    known = np.unique(np.asarray([mark for mark in marks if np.isfinite(mark)], np.float64))
    if not known.size:
        return draw.normal(size=MADE_UP).astype(np.float32)
    step = max(float(known[-1] - known[0]), abs(float(known[0])), 1e-3) / 4
    edges = np.concatenate([[known[0] - step], known, [known[-1] + step]])
    between = (edges[1:] + edges[:-1]) / 2
    return draw.choice(np.concatenate([edges, between]), MADE_UP).astype(np.float32)
