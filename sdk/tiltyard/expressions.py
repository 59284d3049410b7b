"""Validations as CEL: texts as they are, and simple expressions of polars translated.

What polars itself writes of an expression is read, so that nothing here imports it. Columns are
named as answers name them, `in.area` and `out.price`. What means something else in CEL, or nothing,
is refused by name.
"""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from tiltyard.failure import Failure
from tiltyard_core.cel.simple import NO_FIELDS

COMPARISONS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
ROOTS = {"in": "inputs", "out": "out"}
BOUNDS = {"Both": (">=", "<="), "Left": (">=", "<"), "Right": (">", "<="), "None": (">", "<")}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Node = Any
"""A part of an expression, as JSON says it."""


class Meta(Protocol):
    """What we use of `polars.Expr.meta`."""

    def serialize(self, *, format: str) -> str:  # noqa: A002 - its name there
        """The expression as JSON."""


class PolarsExpression(Protocol):
    """What we use of `polars.Expr`."""

    @property
    def meta(self) -> Meta:
        """What tells of it."""


def to_cel(expression: str | PolarsExpression) -> str:
    """Write a validation as a manifest has it.

    Args:
        expression: CEL, or an expression of polars such as
            `pl.col("out.price").list.get(0) > 0.9`.

    Raises:
        Failure: the expression has a part that CEL does not have.

    """
    if isinstance(expression, str):
        return expression
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that another version may write it otherwise
        written = expression.meta.serialize(format="json")
    return _text(json.loads(written))


def _text(node: Node) -> str:
    kind, inside = _only(node)
    match kind:
        case "Column":
            return _column(str(inside))
        case "Literal":
            return _literal(inside)
        case "Alias":
            return _text(inside[0])
        case "BinaryExpr":
            return _binary(inside["op"], inside["left"], inside["right"])
        case "Function":
            return _function(inside["function"], inside["input"])
        case _:
            raise _foreign(kind)


def _column(name: str) -> str:
    root, dot, field = name.partition(".")
    if root not in ROOTS or not dot:
        raise Failure(f"column {name!r} is neither in.COLUMN nor out.NAME: name it as answers do")
    if _IDENTIFIER.fullmatch(field) and field not in NO_FIELDS:
        return f"{ROOTS[root]}.{field}"
    return f"{ROOTS[root]}[{json.dumps(field, ensure_ascii=False)}]"


def _literal(node: Node) -> str:
    """A number, a text or a truth: `{"Dyn": {"Float": 0.9}}`."""
    value = _only(_only(node)[1])[1]
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int | float) and abs(value) < float("inf"):
        return repr(value)
    raise Failure("a constant is neither a number, a text nor a truth: compare with one of these")


def _binary(operator: str, left: Node, right: Node) -> str:
    if operator in COMPARISONS:
        return f"{_compared(left)} {COMPARISONS[operator]} {_compared(right)}"
    if operator in ("And", "LogicalAnd"):
        return f"{_all(left)} && {_all(right)}"
    if operator in ("Or", "LogicalOr"):
        return f"{_text(left)} || {_text(right)}"
    raise _foreign(operator)


def _compared(node: Node) -> str:
    """A side of a comparison: one that compares itself stands in parentheses."""
    text = _text(node)
    return f"({text})" if "BinaryExpr" in node else text


def _all(node: Node) -> str:
    """A part of what must hold together."""
    text = _text(node)
    return f"({text})" if " || " in text else text


def _function(function: Node, given: Sequence[Node]) -> str:
    options: Node
    name, options = _only(function) if isinstance(function, Mapping) else (function, None)
    inner = options if isinstance(options, str) else None
    if isinstance(options, Mapping) and name != "Boolean":
        inner, options = _only(options)
    match name, inner:
        case (("ListExpr" | "ArrayExpr"), "Get"):
            return _element(given)
        case (("ListExpr" | "ArrayExpr"), "Length"):
            return f"size({_text(given[0])})"
        case "StringExpr", ("StartsWith" | "EndsWith"):
            call = "startsWith" if inner == "StartsWith" else "endsWith"
            return f"{_text(given[0])}.{call}({_text(given[1])})"
        case "StringExpr", "Contains":
            call = "contains" if options["literal"] else "matches"
            return f"{_text(given[0])}.{call}({_text(given[1])})"
        case "Boolean", "Not":
            return f"!({_text(given[0])})"
        case "Boolean", None if isinstance(options, Mapping) and "IsBetween" in options:
            return _between(options["IsBetween"]["closed"], *map(_text, given))
    raise _foreign(f"{name}.{inner or options}" if options or inner else str(name))


def _element(given: Sequence[Node]) -> str:
    """An element of a list; from its end where the number is below 0."""
    text, index = _text(given[0]), _text(given[1])
    return f"{text}[size({text}) - {index[1:]}]" if index.startswith("-") else f"{text}[{index}]"


def _between(closed: str, value: str, low: str, high: str) -> str:
    above, below = BOUNDS[closed]
    return f"{value} {above} {low} && {value} {below} {high}"


def _only(node: Node) -> tuple[str, Node]:
    """Name and inside of a part: a mapping of one."""
    if not isinstance(node, Mapping) or len(node) != 1:
        raise _foreign(json.dumps(node)[:40])
    ((name, inside),) = node.items()
    return str(name), inside


def _foreign(what: str) -> Failure:
    return Failure(
        f"{what} of polars is not translated: compare columns, elements and lengths with constants,"
        " join by & | ~, or write the validation as CEL"
    )
