"""Validations mean what CEL says: as the reference has it, and in numpy as in the library."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from random_cel import Expressions
from reference_cel import Row, Said, asked, reference_cel
from tiltyard_api.tensors import TensorSpec, TensorType
from tiltyard_core.cel.library import ExpressionError, Rule, judge
from tiltyard_core.cel.simple import OPERATORS, simple
from tiltyard_engine.call import Call
from tiltyard_engine.columns import DTYPES
from tiltyard_engine.validations.vectors import vector

VERDICTS = ("false", "true", "failed")
MOST = 1000
"""Characters of an expression in a manifest."""

ROWS = 4


def ours(expression: str, rows: Sequence[Row]) -> Said:
    """What the engine's library says."""
    try:
        rule = Rule(expression)
    except ExpressionError:
        return Said(True, ())
    return Said(False, tuple(VERDICTS[judge([rule], row)[0]] for row in rows))


@pytest.mark.parametrize(
    ("seed", "count"),
    [(1, 1_000), pytest.param(2, 10_000, marks=[pytest.mark.full, pytest.mark.timeout(1200)])],
)
@pytest.mark.timeout(600)
def test_the_library_agrees_with_the_reference(seed: int, count: int) -> None:
    makes = Expressions(seed)
    pairs = []
    while len(pairs) < count:
        text = makes.truth()
        if len(text) <= MOST:
            pairs.append((text, [makes.row() for _ in range(ROWS)]))
    expressions, rows = [text for text, _ in pairs], [mine for _, mine in pairs]
    theirs = asked(reference_cel(), expressions, rows)
    differ = [
        (text, mine, said, found)
        for text, mine, said in zip(expressions, rows, theirs, strict=True)
        if (found := ours(text, mine)) != said
    ]
    assert not differ, f"{len(differ)} differ, first {differ[0]}"
    kinds = Counter(verdict for one in theirs for verdict in one.verdicts)
    assert all(kinds[kind] > count // 4 for kind in VERDICTS), kinds
    assert sum(one.refused for one in theirs) < count // 3


KINDS = [
    kind for kind in TensorType if DTYPES[kind].kind in "fiu" and kind is not TensorType.UINT64
]
SPECIAL = {
    "f": [0.0, -0.0, 0.1, 1 / 3, 65504.0, 3.4028235e38, 2.0**53, 1e308, np.nan, np.inf, -np.inf],
    "i": [-1, 0, 1, 127, -128, 2**31 - 1, 2**53 + 1, 2**63 - 1, -(2**63)],
    "u": [0, 1, 255, 65535, 2**32 - 1],
}


@st.composite
def comparisons(draw: st.DrawFn, kind: TensorType) -> str:
    """A field of a kind beside a number that may be compared with it."""
    whole = st.integers(-(2**53), 2**53)
    if kind is TensorType.INT64:
        number = repr(draw(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-3, 3)))
    else:
        special = st.sampled_from(["0.1", "-0.0", "65504.0", "1e308", "9007199254740992", "127"])
        floats = st.floats(allow_nan=False, allow_infinity=False) | st.floats(width=32, max_value=9)
        finite = floats.filter(np.isfinite)
        number = draw(special | (whole | st.integers(-3, 3) | finite).map(repr))
    field = draw(st.sampled_from(["out.f[0]", "out.f[1]", "inputs.g"]))
    return f"{field} {draw(st.sampled_from(OPERATORS))} {number}"


@st.composite
def questions(draw: st.DrawFn) -> tuple[TensorType, str, list[list[float]]]:
    """A simple expression, and rows of three values."""
    kind = draw(st.sampled_from(KINDS))
    dtype = DTYPES[kind]
    text = draw(
        st.recursive(
            comparisons(kind),
            lambda inner: st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
                lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"
            ),
            max_leaves=6,
        )
    )
    low, high = (-1e3, 1e3) if dtype.kind == "f" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    fitting = [one for one in SPECIAL[dtype.kind] if dtype.kind == "f" or low <= one <= high]
    usual = st.floats(-1e3, 1e3) if dtype.kind == "f" else st.integers(int(low), int(high))
    value = st.sampled_from(fitting) | usual
    return (
        kind,
        text,
        draw(st.lists(st.lists(value, min_size=3, max_size=3), min_size=1, max_size=4)),
    )


@given(questions())
def test_what_runs_in_numpy_says_what_the_library_says(
    question: tuple[TensorType, str, list[list[float]]],
) -> None:
    kind, text, values = question
    with np.errstate(over="ignore"):
        table = np.array(values, dtype=object).astype(DTYPES[kind])
    fields: Mapping[str, Mapping[str, TensorSpec]] = {
        "inputs": {"g": TensorSpec(name="g", type=kind)},
        "out": {"f": TensorSpec(name="f", type=kind, shape=(2,))},
    }
    understood = simple(text, fields)
    assert understood is not None
    call = Call(len(table), {"g": table[:, 2]}, {}, {}, outputs={"last": {"f": table[:, :2]}})
    run = vector(
        understood,
        {
            ("inputs", "g"): lambda call: call.tensors["g"],
            ("out", "f"): lambda call: call.outputs["last"]["f"],
        },
    )
    rule = Rule(text)
    rows = [{"inputs": {"g": g}, "out": {"f": [a, b]}} for a, b, g in table.tolist()]
    assert run(call).tobytes() == bytes(judge([rule], row)[0] for row in rows)


@pytest.mark.parametrize(
    ("name", "expression"),
    {
        "20,000 parentheses": "(" * 20_000 + "true" + ")" * 20_000,
        "20,000 terms": "+".join(["1"] * 20_000) + " > 0",
        "20,000 points": "out" + ".x" * 20_000,
        "a million characters": "out.f == '" + "a" * 10**6 + "'",
        "20,000 lists": "[" * 20_000 + "]" * 20_000 + " == []",
        "20,000 conditions": "true ? " * 20_000 + "true" + " : true" * 20_000,
    }.items(),
)
def test_what_is_deep_or_long_is_refused(name: str, expression: str) -> None:
    assert ours(expression, []).refused, name


def test_loops_end_with_their_iterations() -> None:
    rows: list[Row] = [{"inputs": {}, "out": {"f": [1.0] * 1000}}]
    for depth in (2, 3):
        text = "true"
        for level in range(depth):
            text = f"out.f.all(v{level}, {text})"
        assert ours(text, rows).verdicts == ("failed",)
