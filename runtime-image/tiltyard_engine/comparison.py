"""How rows of a challenger are compared with the champion's."""

from collections.abc import Callable, Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from tiltyard_api.plan import PlanShadow
from tiltyard_engine.columns import Array, Column, Columns


class Sides(NamedTuple):
    """Rows by who says yes, of those where both have a number."""

    both_above: int = 0
    both_below: int = 0
    false_negatives: int = 0
    false_positives: int = 0


class Compared(NamedTuple):
    """What came of comparing some rows."""

    rows: int = 0
    misses: Sequence[int] = ()
    """Rows that do not match."""

    sides: Sides = Sides()


Compare = Callable[[Columns, Columns, int], Compared]
"""Given the champion's outputs, the challenger's, and how many rows there are."""


def comparer(plan: PlanShadow) -> Compare:
    """How rows of a step are compared.

    Nothing is compared where the manifest asks for nothing, or the challenger has no such output.
    """
    name = plan.compare_output

    def compare(champion: Columns, challenger: Columns, rows: int) -> Compared:
        if name is None or name not in champion or name not in challenger:
            return Compared()
        ours, theirs = champion[name], challenger[name]
        misses = [
            row
            for row, (one, other) in enumerate(zip(ours, theirs, strict=True))
            if not _same(np.asarray(one), np.asarray(other), plan.tolerance)
        ]
        sides = Sides() if plan.threshold is None else sides_of(ours, theirs, plan.threshold)
        return Compared(rows, misses, sides)

    return compare


def sides_of(champion: Column, challenger: Column, threshold: float) -> Sides:
    """On which side of a threshold either is, in rows where both have a number."""
    one, other = _numbers(champion), _numbers(challenger)
    if one is None or other is None:
        return Sides()
    known = ~(np.isnan(one) | np.isnan(other))
    # In the type of the output: what an answer shows as 0.7 is not below 0.7.
    with np.errstate(over="ignore"):
        yes, too = (np.greater_equal(rows[known], threshold) for rows in (one, other))
    return Sides(
        *(int(np.count_nonzero(rows)) for rows in (yes & too, ~yes & ~too, yes & ~too, ~yes & too))
    )


def distance(champion: Column, challenger: Column) -> float:
    """How far apart rows that do not match are; infinite where no number says it."""
    one, other = np.asarray(champion), np.asarray(challenger)
    if one.shape != other.shape or not {one.dtype.kind, other.dtype.kind} <= {"f", "i", "u"}:
        return inf
    with np.errstate(over="ignore", invalid="ignore"):
        apart = np.abs(one.astype(float) - other.astype(float))
        apart[(one == other) | (np.isnan(one) & np.isnan(other))] = 0
    return float(np.nan_to_num(apart, nan=inf, posinf=inf).max())


def _numbers(column: Column) -> Array | None:
    """One number a row; None where rows hold something else."""
    if isinstance(column, list) or column.size != len(column) or column.dtype.kind not in "fiu":
        return None
    return column.reshape(-1)


def _same(one: Array, other: Array, tolerance: float) -> bool:
    """Whether one row's values match: numbers within the tolerance, NaN with NaN."""
    if one.shape != other.shape:
        return False
    kinds = {one.dtype.kind, other.dtype.kind}
    if kinds <= {"f", "i", "u"} and ("f" in kinds or tolerance):
        with np.errstate(over="ignore", invalid="ignore"):
            near = np.isclose(one.astype(float), other.astype(float), 0, tolerance, equal_nan=True)
            return bool(near.all())
    return bool(np.asarray(one == other).all())
