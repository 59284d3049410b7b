"""What a value of feedback may be, by the kind of its metric."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tiltyard_api.reasons import Reason
from tiltyard_api.v1alpha1.experiment import MetricKind
from tiltyard_engine.errors import Refusal

MOST_COUNT = 2**53
MOST_VALUE = 1e100
"""Beyond it sums of squares of many values would have no number."""


def value_of(kind: MetricKind, value: object) -> float:
    """Read a value.

    Raises:
        Refusal: WrongType or OutOfRange.

    """
    return _READERS[kind](value)


def _yes_or_no(value: object) -> float:
    if isinstance(value, bool):
        return float(value)
    number = _number(value, "true, false, 1 or 0")
    if number not in (0, 1):
        raise _beyond(value, "true, false, 1 or 0")
    return number


def _count(value: object) -> float:
    number = _number(value, "a whole number from 0")
    if not 0 <= number <= MOST_COUNT or number != int(number):
        raise _beyond(value, f"a whole number from 0 to {MOST_COUNT}")
    return number


def _value(value: object) -> float:
    number = _number(value, "a number")
    if not abs(number) <= MOST_VALUE:
        raise _beyond(value, f"a number between -{MOST_VALUE:g} and {MOST_VALUE:g}")
    return number


def _number(value: object, wanted: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refusal(
            Reason.WRONG_TYPE,
            f"the value is no number: send {wanted}, without quotes",
            field="value",
        )
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _beyond(value: object, wanted: str) -> Refusal:
    return Refusal(Reason.OUT_OF_RANGE, f"the value is {value}: send {wanted}", field="value")


_READERS: Mapping[MetricKind, Callable[[object], float]] = MappingProxyType(
    {
        MetricKind.BINARY: _yes_or_no,
        MetricKind.COUNT: _count,
        MetricKind.VALUE: _value,
        MetricKind.LABEL: _yes_or_no,
    }
)
