"""Runs simple validations on all rows at once, in numpy."""

import operator
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from tiltyard_core.cel.simple import Comparison, Simple
from tiltyard_engine.call import Call
from tiltyard_engine.validations.values import Field, Getter, element

Truths = NDArray[np.bool_]
Vector = Callable[[Call], Truths]

_OPERATORS: Mapping[str, Callable[..., Truths]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def vector(simple: Simple, fields: Mapping[Field, Getter]) -> Vector:
    """Make the function that tells of which rows of a call a simple expression is true."""
    if isinstance(simple, Comparison):
        return _comparison(simple, fields[simple.root, simple.name])
    parts = [vector(part, fields) for part in simple.parts]
    join: Callable[..., Truths] = operator.and_ if simple.operator == "&&" else operator.or_

    def joined(call: Call) -> Truths:
        found = parts[0](call)
        for part in parts[1:]:
            found = join(found, part(call))
        return found

    return joined


def _comparison(simple: Comparison, get: Getter) -> Vector:
    """Compare as CEL does: a number of our own width would round the constant to the column's."""
    compare, index = _OPERATORS[simple.operator], simple.index
    number = (
        np.int64(simple.number) if isinstance(simple.number, int) else np.float64(simple.number)
    )

    def compared(call: Call) -> Truths:
        column = get(call)
        return compare(np.asarray(column) if index is None else element(column, index), number)

    return compared
