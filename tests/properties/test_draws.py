"""What must hold for the draws of all weights and keys."""

from collections import Counter
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from tiltyard_core.draws import DRAW_SPACE, keyed_draw, pick, thresholds, value_draw

weight = st.one_of(
    st.just(0.0),
    st.integers(0, 10**9).map(float),
    st.floats(0, 1e9, allow_subnormal=True),
)
weights = st.lists(weight, min_size=1, max_size=16).filter(any)
draws = st.integers(0, DRAW_SPACE - 1)


@given(weights, draws, st.data())
def test_the_first_variant_whose_interval_reaches_beyond_the_draw_is_picked(
    all_weights: list[float], anywhere: int, data: st.DataObject
) -> None:
    ends = thresholds(all_weights)
    edge = data.draw(st.sampled_from(ends)) + data.draw(st.integers(-2, 2))
    for draw in (anywhere, max(0, min(edge, DRAW_SPACE - 1))):
        exact = [Fraction(str(one)) for one in all_weights]
        wanted = next(
            index
            for index in range(len(exact))
            if draw * sum(exact) < DRAW_SPACE * sum(exact[: index + 1])
        )
        assert pick(ends, draw) == wanted


@given(weights)
def test_intervals_are_consecutive_and_fill_the_space(all_weights: list[float]) -> None:
    ends = thresholds(all_weights)
    assert ends[-1] == DRAW_SPACE
    assert all(first <= second for first, second in pairwise((0, *ends)))


@given(weights, draws)
def test_a_weight_of_zero_is_never_drawn(all_weights: list[float], draw: int) -> None:
    assert all_weights[pick(thresholds(all_weights), draw)] > 0


@given(weights, st.integers(1, 1000), draws)
def test_only_the_ratio_of_weights_counts(whole: list[float], factor: int, draw: int) -> None:
    integers = [int(one) for one in whole]
    assume(any(integers))
    larger = [one * factor for one in integers]
    assert pick(thresholds(integers), draw) == pick(thresholds(larger), draw)


@given(weight, weight, weight, draws)
def test_in_a_split_of_two_a_growing_weight_moves_only_keys_that_must_move(
    first: float, second: float, grown: float, draw: int
) -> None:
    assume(first + second > 0 and grown >= second)
    before = pick(thresholds([first, second]), draw)
    after = pick(thresholds([first, grown]), draw)
    assert (before, after) in {(0, 0), (1, 1), (0, 1)}


@given(st.lists(st.integers(0, 100), min_size=2, max_size=20), draws)
def test_a_growing_candidate_never_sends_a_user_back(ramp: list[int], draw: int) -> None:
    variants = [pick(thresholds([share, 100 - share]), draw) for share in sorted(ramp)]
    assert variants == sorted(variants, reverse=True)


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text("abc/-", max_size=20))
def test_every_key_has_a_draw_of_its_salt(key: str, salt: str) -> None:
    assert 0 <= value_draw(salt, key) < DRAW_SPACE


@given(st.integers(1, 2**53), st.text("abc/-", max_size=20))
def test_an_integer_draws_as_its_digits_and_as_the_whole_float(value: int, salt: str) -> None:
    drawn = value_draw(salt, str(value))
    assert value_draw(salt, value) == value_draw(salt, float(value)) == drawn


@given(st.floats(0, 1, exclude_max=True))
def test_a_float_below_one_is_the_draw_itself(value: float) -> None:
    draw = value_draw("any salt", value)
    assert draw <= Fraction(value) * DRAW_SPACE < draw + 1


@pytest.mark.parametrize("shares", [[2, 1], [0.5, 0.5], [99, 1], [1, 2, 3, 4], [1, 0, 1]])
def test_20000_keyed_draws_fit_their_weights(shares: list[float]) -> None:
    ends = thresholds(shares)
    counts = Counter(pick(ends, keyed_draw("default/p/step", f"u{n}")) for n in range(20_000))
    drawn = [index for index, share in enumerate(shares) if share]
    assert set(counts) == set(drawn)
    wanted = [20_000 * shares[index] / sum(shares) for index in drawn]
    assert chisquare([counts[index] for index in drawn], wanted).pvalue > 0.001
