"""Expressions of polars as CEL: what they say of rows is the same, and what is foreign is named."""

import polars as pl
import pytest

from tiltyard.expressions import to_cel
from tiltyard.failure import Failure
from tiltyard_core.cel.library import FALSE, TRUE, Rule, judge

FIRST = pl.col("out.price").list.get(0)

TRANSLATED = {
    "out.price[0] > 0.9": FIRST > 0.9,
    "out.price[0] > 0.9 && inputs.area <= -3": (FIRST > 0.9) & (pl.col("in.area") <= -3),
    "(out.price[0] > 1 || out.price[0] < 0) && inputs.area != 2.5": (
        ((FIRST > 1) | (FIRST < 0)) & (pl.col("in.area") != 2.5)
    ),
    "out.price[0] > 1 && inputs.area == 2 || out.ok": (
        (FIRST > 1) & (pl.col("in.area") == 2) | pl.col("out.ok")
    ),
    "!(out.ok)": ~pl.col("out.ok"),
    "(out.price[0] > 1) == out.ok": (FIRST > 1) == pl.col("out.ok"),
    "out.price[0] >= 1 && out.price[0] <= 2": FIRST.is_between(1, 2),
    "out.price[0] > 1 && out.price[0] <= 2": FIRST.is_between(1, 2, closed="right"),
    "size(out.price) > 3": pl.col("out.price").list.len() > 3,
    "out.price[size(out.price) - 1] < 2": pl.col("out.price").list.get(-1) < 2,
    "out.box[1] < 2": pl.col("out.box").arr.get(1) < 2,
    'out.word == "é\\"\\n"': pl.col("out.word") == 'é"\n',
    'out.word.startsWith("sp")': pl.col("out.word").str.starts_with("sp"),
    'out.word.endsWith("am")': pl.col("out.word").str.ends_with("am"),
    'out.word.matches("^s.*m$")': pl.col("out.word").str.contains("^s.*m$"),
    'out.word.contains("pa")': pl.col("out.word").str.contains("pa", literal=True),
    'inputs["living area"] > 3': (pl.col("in.living area") > 3).alias("large"),
    'inputs["in"] > 3.5': pl.col("in.in") > pl.lit(3.5, dtype=pl.Float32),
    "out.ok == true": pl.col("out.ok") == pl.lit(value=True),
}


@pytest.mark.parametrize("text", TRANSLATED)
def test_expressions_of_polars_are_written_as_cel(text: str) -> None:
    assert to_cel(TRANSLATED[text]) == text


ROW = {
    "inputs": {"area": 2.0, "living area": 4.0, "in": 3.0},
    "out": {"price": [1.5, 1.0], "box": [0.0, 1.0], "ok": True, "word": "spam"},
}


@pytest.mark.parametrize("text", TRANSLATED)
def test_what_they_say_of_a_row_is_what_polars_says(text: str) -> None:
    values = {f"in.{name}": [value] for name, value in ROW["inputs"].items()}
    values |= {f"out.{name}": [value] for name, value in ROW["out"].items()}
    kinds = {"out.box": pl.Array(pl.Float64, 2)}
    frame = pl.DataFrame(values, schema_overrides=kinds)
    (said,) = frame.select(TRANSLATED[text]).to_series().to_list()
    assert judge([Rule(text)], ROW) == [TRUE if said else FALSE]


def test_a_text_is_cel_already() -> None:
    assert to_cel("out.price.all(p, p > 0.0)") == "out.price.all(p, p > 0.0)"


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (pl.col("price") > 1, "column 'price' is neither in.COLUMN nor out.NAME"),
        (pl.col("out.price") + 1 > 2, "Plus of polars is not translated"),
        (pl.col("out.price").mean() > 2, "Agg of polars is not translated"),
        (pl.col("out.price").is_null(), "Boolean.IsNull of polars is not translated"),
        (pl.col("out.price").abs() > 2, "Abs of polars is not translated"),
        (pl.col("out.price").list.max() > 2, "ListExpr.Max of polars is not translated"),
        (pl.all() > 2, "Selector of polars is not translated"),
        (pl.col("out.word").is_in(["a"]), "Boolean.{'IsIn'"),
        (pl.col("out.price") > float("inf"), "a constant is neither"),
    ],
)
def test_what_cel_does_not_have_is_refused_by_name(expression: pl.Expr, why: str) -> None:
    with pytest.raises(Failure) as refused:
        to_cel(expression)
    (line,) = refused.value.lines
    assert line.startswith(why)
