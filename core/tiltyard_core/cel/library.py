"""The only module that knows the library of CEL, and imports it when an expression needs it.

What the library bounds by itself: 32 levels of nesting, 100,000 characters, 10,000 iterations an
evaluation. What it does not bound is time and memory of one evaluation: lists that are doubled
again and again take seconds and a gigabyte. So nothing is evaluated where that would matter.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tiltyard_core.cel.tokens import ROOTS

if TYPE_CHECKING:
    from cel_expr_python import cel

_PLACE = re.compile(r"<input>:(\d+):(\d+): (.*)")
_EXPECTING = re.compile(r" expecting \{.*")
_LIMIT = re.compile(r"(?:Exceeded max|Expression) recursion.*limit: (\d+)|recursion depth of (\d+)")
_IN = re.compile(r"(?:^|[^\w)\]'\"\s])\s*in\s*[.\[]")
"""`in` where a value is due."""

_NOBODY_KNOWS = re.compile(r"undeclared reference to '([^']*)' \(in container ''\)")

FALSE, TRUE, FAILED = 0, 1, 2
"""What comes of an expression for a row; the last where it has no truth for it."""


class ExpressionError(Exception):
    """An expression that cannot be run; says where and why."""


def available() -> bool:
    """Whether the library is installed."""
    return find_spec("cel_expr_python") is not None


class Rule:
    """An expression that was compiled."""

    def __init__(self, expression: str) -> None:
        """Compile an expression.

        Raises:
            ExpressionError: it is none, or what it gives is not true or false.

        """
        from cel_expr_python import cel  # noqa: PLC0415 - 14 MB that few need

        try:
            self._compiled = _environment().compile(expression)
        except RuntimeError as error:
            raise ExpressionError(_told(str(error), expression)) from error
        kind = self._compiled.return_type()
        if kind not in (cel.Type.BOOL, cel.Type.DYN):
            name = kind.name().lower()
            raise ExpressionError(f"gives {name}, a validation is true or false: compare it")
        self._error, self._bool = cel.Type.ERROR, cel.Type.BOOL

    def judge(self, row: "cel.Activation") -> int:
        """Whether the expression is true of a row: an error is a value that looks true."""
        try:
            found = self._compiled.eval(activation=row)
        except (RuntimeError, MemoryError):  # what it takes is bounded
            return FAILED
        if found.type() != self._bool:
            return FAILED
        return TRUE if found.value() else FALSE


def judge(rules: Sequence[Rule], row: Mapping[str, object]) -> list[int]:
    """What each rule says of a row of plain values."""
    prepared = _environment().Activation(data=row)
    return [rule.judge(prepared) for rule in rules]


@cache
def _environment() -> "cel.Env":
    from cel_expr_python import cel  # noqa: PLC0415 - likewise

    fields = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    return cel.NewEnv(variables=dict.fromkeys(ROOTS, fields))


def _told(said: str, expression: str) -> str:
    """What the library says, in one line, with the place as people count."""
    found = _PLACE.search(said)
    if found:
        line, column, words = int(found[1]), int(found[2]), _EXPECTING.sub("", found[3])
        unknown = _NOBODY_KNOWS.search(words)
        if unknown:
            words = f"nothing is called {unknown[1]!r}: write inputs.COLUMN or out.NAME"
        elif _IN.search(expression):
            words = "`in` is a word of CEL: write inputs"
        place = f"line {line}, character {column}" if "\n" in expression else f"character {column}"
        return f"{place}: {words}"
    limit = _LIMIT.search(said)
    if limit:
        return f"is nested deeper than {limit[1] or limit[2]} levels: flatten it"
    return said.splitlines()[0]
