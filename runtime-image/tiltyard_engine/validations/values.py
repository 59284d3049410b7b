"""The fields that validations are about, of a call that has its outputs."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tiltyard_api.plan import Plan
from tiltyard_core.cel.simple import Fields
from tiltyard_core.cel.tokens import ROOTS, mentions
from tiltyard_engine.call import Call
from tiltyard_engine.columns import Array, Column, row_of

Getter = Callable[[Call], Column]
Field = tuple[str, str]
"""Root and name."""

Plain = dict[str, dict[str, list[object]]]


def getters(plan: Plan) -> dict[Field, Getter]:
    """How each field is found."""
    found: dict[Field, Getter] = {}
    for tensor in plan.request:
        for place, name in enumerate(tensor.columns):
            index = place if tensor.stacked else None
            found.setdefault(("inputs", name), _input(tensor.key, index))
    last = plan.steps[-1].name
    for output in plan.steps[-1].outputs:
        found["out", output.name] = _output(last, output.name)
    return found


def _input(key: str, index: int | None) -> Getter:
    if index is None:
        return lambda call: call.tensors[key]
    return lambda call: element(call.tensors[key], index)


def _output(step: str, name: str) -> Getter:
    return lambda call: call.outputs[step][name]


def element(column: Column, index: int) -> Array:
    """One element of each row."""
    if isinstance(column, list):
        return np.array([row[index] for row in column])
    chosen: Array = column[:, index]
    return chosen


def mentioned(expressions: Iterable[str], fields: Fields) -> list[Field]:
    """The fields that expressions may look at: all of a root where they do not say which."""
    found: dict[Field, None] = {}
    for expression in expressions:
        for one in mentions(expression):
            names = fields[one.root] if one.name is None else [one.name]
            found |= dict.fromkeys((one.root, name) for name in names if name in fields[one.root])
    return list(found)


def plain(columns: Mapping[Field, Column], start: int, end: int) -> Plain:
    """Rows of columns as plain values, by root and name."""
    values: Plain = {root: {} for root in ROOTS}
    for (root, name), column in columns.items():
        part = column[start:end]
        listed = [row.tolist() for row in part] if isinstance(part, list) else part.tolist()
        values[root][name] = listed
    return values


def values_per_row(columns: Mapping[Field, Column]) -> int:
    """How many values the largest of the first rows has."""
    return sum(row_of(column, 0).size for column in columns.values())
