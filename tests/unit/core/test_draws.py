"""Draws against published vectors, by the code and by a second reading of the documentation."""

import hashlib
import json
import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tiltyard_core.draws import DRAW_SPACE, keyed_draw, pick, thresholds, value_draw

Vector = dict[str, Any]

ROOT = Path(__file__).parents[3]
VECTORS: list[Vector] = json.loads((ROOT / "docs/draws-vectors.json").read_text())["vectors"]
TYPES = {"string": str, "integer": int, "float": float}


def documented_draw(salt: str, value: str | float) -> int:
    """The documentation's words, with nothing but integers and fractions."""
    if isinstance(value, float) and 0 <= value < 1:
        return math.floor(Fraction(value) * 2**64)
    text = value if isinstance(value, str) else str(int(value))
    digest = hashlib.sha256(salt.encode() + b"\x00" + text.encode()).hexdigest()
    return int(digest[:16], 16)


def documented_variant(draw: int, weights: Sequence[float]) -> int:
    exact = [Fraction(str(weight)) for weight in weights]
    return next(
        index for index in range(len(exact)) if draw * sum(exact) < 2**64 * sum(exact[: index + 1])
    )


@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_published_vectors_hold(vector: Vector) -> None:
    value, weights = vector["value"], vector["weights"]
    assert type(value) is TYPES[vector["type"]]
    draw = value_draw(vector["salt"], value)
    assert draw == documented_draw(vector["salt"], value) == int(vector["draw"])
    variant = pick(thresholds(weights), draw)
    assert variant == documented_variant(draw, weights) == vector["variant"]


def test_enough_vectors_are_published() -> None:
    assert len(VECTORS) >= 60
    assert {vector["type"] for vector in VECTORS} == set(TYPES)


def test_salt_and_key_are_kept_apart() -> None:
    assert keyed_draw("a", "b/c") != keyed_draw("a/b", "c")


@pytest.mark.parametrize("value", [-0.1, 1.5, math.nan, math.inf, -math.inf, -1.0])
def test_a_float_that_is_neither_draw_nor_integer_is_out_of_range(value: float) -> None:
    with pytest.raises(ValueError, match=r"neither in \[0, 1\) nor whole"):
        value_draw("salt", value)


@pytest.mark.parametrize("value", [True, None, ["a"], {"a": 1}])
def test_a_key_that_is_neither_text_nor_number_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="a hash key is a text or a number"):
        value_draw("salt", value)


def test_half_a_character_is_refused() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        value_draw("salt", "\ud800")


@pytest.mark.parametrize("weights", [[0], [0.0, 0], [-0.0]])
def test_nothing_is_drawn_where_all_weights_are_zero(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="all weights are 0"):
        thresholds(weights)


def test_intervals_of_two_to_one_end_where_they_should() -> None:
    third = -(-DRAW_SPACE * 2 // 3)
    assert thresholds([2, 1]) == (third, DRAW_SPACE)
    assert [pick((third, DRAW_SPACE), draw) for draw in (0, third - 1, third, DRAW_SPACE - 1)] == [
        0,
        0,
        1,
        1,
    ]
