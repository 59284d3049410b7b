"""Checks what `process_data` returned, and makes it arrays of the types that were declared."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .frames import STRING, Array


class WrongOutputError(Exception):
    """The function returned something other than its entry says."""


def arrays_of(result: object, outputs: Mapping[str, str]) -> list[Array]:
    """Give the declared outputs, in order; what else was returned is left.

    Args:
        result: what the function returned.
        outputs: type of each output, by name.

    Raises:
        WrongOutputError: with the output's name and what was expected of it.

    """
    if not isinstance(result, dict):
        kind = type(result).__name__
        raise WrongOutputError(f"process_data returned {kind}, not a dict of arrays by name")
    missing = [name for name in outputs if name not in result]
    if missing:
        there = ", ".join(str(name)[:64] for name in list(result)[:16]) or "nothing"
        raise WrongOutputError(f"process_data returned no {missing[0]!r} (there: {there})")
    return [_converted(name, result[name], kind) for name, kind in outputs.items()]


def _converted(name: str, value: Any, kind: str) -> Array:  # noqa: ANN401 - the function's own
    """Convert where nothing is lost but precision: floats round, integers must fit."""
    try:
        array = np.asarray(value)
    except (TypeError, ValueError) as error:
        raise WrongOutputError(f"output {name!r} is no array: {error}") from error
    if kind == STRING:
        return _texts(name, array)
    wanted = np.dtype(kind)
    if array.dtype == wanted:
        return array
    if not _may_become(array.dtype.kind, wanted.kind):
        raise WrongOutputError(f"output {name!r} is {array.dtype}, outputs says {kind}")
    if wanted.kind in "iu" and array.size:
        bounds = np.iinfo(wanted)
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise WrongOutputError(f"output {name!r} holds numbers beyond {kind}")
    with np.errstate(over="ignore"):
        return array.astype(wanted)


def _may_become(given: str, wanted: str) -> bool:
    return given in {"f": "fiu", "i": "iu", "u": "iu"}.get(wanted, "")


def _texts(name: str, array: Array) -> Array:
    objects = array.astype(object)
    for text in objects.ravel():
        if not isinstance(text, str):
            kind = type(text).__name__
            raise WrongOutputError(f"output {name!r} holds {kind}, outputs says string")
    return objects
