"""Simple expressions: comparisons of one number each, joined by `&&` and `||`.

Most validations are of this kind. They need no library to be understood, and an engine runs them on
all rows at once. What is understood here means exactly what the library takes it for; whatever
might not is left to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tiltyard_api.tensors import ANY_LENGTH, TensorSpec, TensorType
from tiltyard_core.cel.tokens import ROOTS, Token, tokens

OPERATORS = ("<", "<=", ">", ">=", "==", "!=")
MOST_PARENTHESES = 8
"""The library ends at 32 levels, and counts some more than we do."""

_EXACT = 2**53
"""Up to it a double holds every whole number."""

_FLOATS = (TensorType.FLOAT16, TensorType.FLOAT32, TensorType.FLOAT64)
_SMALL = (
    TensorType.INT8, TensorType.INT16, TensorType.INT32,
    TensorType.UINT8, TensorType.UINT16, TensorType.UINT32,
)  # fmt: skip
"""Whole numbers that are exact as doubles."""

NO_FIELDS = ("in", "true", "false", "null")
"""Words that cannot stand behind a point."""

Fields = Mapping[str, Mapping[str, TensorSpec]]
"""What an expression may be about: fields by name, by root."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field, or an element of it, beside a number."""

    root: str
    name: str
    index: int | None
    operator: str
    number: float


@dataclass(frozen=True, slots=True)
class Joined:
    """Several conditions of which all (`&&`) or any (`||`) must hold."""

    operator: str
    parts: "tuple[Simple, ...]"


Simple = Comparison | Joined


class _NotSimpleError(Exception):
    pass


def simple(expression: str, fields: Fields) -> Simple | None:
    """Understand an expression.

    Returns:
        None where it is not simple, or not with fields of these types.

    """
    try:
        return _Parser(tokens(expression), fields).all()
    except _NotSimpleError:
        return None


class _Parser:
    def __init__(self, words: list[Token], fields: Fields) -> None:
        self._words = words
        self._fields = fields
        self._place = 0
        self._depth = 0

    def all(self) -> Simple:
        found = self._any()
        if self._place < len(self._words):
            raise _NotSimpleError
        return found

    def _any(self) -> Simple:
        return self._joined("||", lambda: self._joined("&&", self._one))

    def _joined(self, operator: str, part: Callable[[], Simple]) -> Simple:
        parts = [part()]
        while self._took(operator):
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(operator, tuple(parts))

    def _one(self) -> Simple:
        if not self._took("("):
            return self._comparison()
        self._depth += 1
        if self._depth > MOST_PARENTHESES:
            raise _NotSimpleError
        inner = self._any()
        self._need(")")
        self._depth -= 1
        return inner

    def _comparison(self) -> Comparison:
        root = self._next("word")
        self._need(".")
        name = self._next("word")
        index = None
        if self._took("["):
            text = self._next("number")
            if not text.isdecimal():
                raise _NotSimpleError
            index = int(text)
            self._need("]")
        operator = self._next("sign")
        known = self._fields[root] if root in ROOTS and name not in NO_FIELDS else {}
        spec = known.get(name)
        if spec is None or operator not in OPERATORS or not _has(spec, index):
            raise _NotSimpleError
        return Comparison(root, name, index, operator, self._number(spec.type))

    def _number(self, kind: TensorType) -> float:
        """The number behind the operator, if its comparison with a field of a type is exact."""
        sign = -1 if self._took("-") else 1
        text = self._next("number")
        if text.isdecimal():
            whole = sign * int(text)
            if kind is TensorType.INT64:
                fits = -(2**63) < whole < 2**63
            else:
                fits = kind in (*_FLOATS, *_SMALL) and abs(whole) <= _EXACT
            if fits:
                return whole
        elif not text.lower().startswith("0x") and text[-1] not in "uU":
            number = sign * float(text)
            if kind in (*_FLOATS, *_SMALL) and abs(number) < float("inf"):
                return number
        raise _NotSimpleError

    def _next(self, kind: str) -> str:
        if self._place == len(self._words) or self._words[self._place].kind != kind:
            raise _NotSimpleError
        self._place += 1
        return self._words[self._place - 1].text

    def _took(self, text: str) -> bool:
        there = self._place < len(self._words) and self._words[self._place].text == text
        self._place += there
        return there

    def _need(self, text: str) -> None:
        if not self._took(text):
            raise _NotSimpleError


def _has(spec: TensorSpec, index: int | None) -> bool:
    """Whether every row has this one element."""
    if index is None:
        return spec.shape == ()
    return len(spec.shape) == 1 and ANY_LENGTH not in spec.shape and index < spec.shape[0]
