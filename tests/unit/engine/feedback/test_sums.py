"""The engine's sums are the very ones that `tiltyard_core.experiments.sums` defines."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lab import INTERLEAVE, METRICS, Lab, plan_of
from tiltyard_api.experiment import MOST_WINS
from tiltyard_core.experiments.arrays import unpacked
from tiltyard_core.experiments.sums import Cell, DrawnCell, LabelCell, WinCell, merged
from tiltyard_core.units import mixed
from tiltyard_engine.feedback.book import FIRST, Book
from tiltyard_engine.feedback.layout import GROUP, GROUPS
from tiltyard_engine.feedback.repeats import Repeats
from tiltyard_engine.feedback.taking import Feedback

draws = st.integers(0, 2**64 - 1)
events = st.lists(
    st.tuples(draws, st.sampled_from("ab"), st.floats(-1e6, 1e6), st.booleans(), st.floats(0, 1)),
    max_size=60,
)


@settings(max_examples=25, deadline=None)
@given(events)
def test_values_and_labels_come_to_what_the_definition_says(
    tmp_path_factory: pytest.TempPathFactory, many: list[tuple[int, str, float, bool, float]]
) -> None:
    lab = Lab(tmp_path_factory.mktemp("lab"))
    cells = {name: Cell(clustered=True) for name in "ab"}
    labels = {name: LabelCell(0.5, Cell(clustered=True)) for name in "ab"}
    for draw, variant, value, label, score in many:
        answer = lab.answer(draw, variant, score=score)
        sent = [
            Feedback(answer.inference_id, "revenue", value),
            Feedback(answer.inference_id, "fraud", label),
        ]
        assert lab.takers.take(sent) == [None, None]
        cells[variant].add(draw, value)
        single = memoryview(bytearray(4)).cast("f")
        single[0] = score
        labels[variant].add(draw, single[0], int(label))
    for stratum in lab.sums.told().strata:
        for name, variant in stratum.variants.items():
            if sum(cells[name].counts):
                assert variant.metrics["revenue"] == cells[name].told()
                assert variant.metrics["fraud"] == labels[name].told()


def test_wins_of_more_units_than_there_is_room_for_come_to_what_the_definition_says(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path, plan_of(METRICS[1:2], INTERLEAVE))
    cell = WinCell()
    for number in range(2 * MOST_WINS + 500):
        draw = number * 0x9E3779B97F4A7C15 % 2**64
        call = lab.interleaved(["a", "b"], draw)
        team = number % 3 % 2
        sent = Feedback(call.inference_id, "visits", 1 + number % 5, None, team)
        assert lab.say(sent) is None
        cell.add(draw, 1 + number % 5, team)
    told = lab.sums.told().strata[0].wins["visits"]
    assert told.level == cell.level > 0
    assert told == cell.told()


def test_users_that_were_drawn_come_to_what_the_definition_says(tmp_path: Path) -> None:
    lab, cell = Lab(tmp_path), DrawnCell()
    for number in range(5000):
        draw = number // 2 * 0x9E3779B97F4A7C15 % 2**64
        variant = "a" if draw < 2**64 * 2 // 3 else "b"
        lab.answer(draw, variant)
        cell.add(draw, variant)
    (stratum,) = lab.sums.told().strata
    assert stratum.level == cell.level > 0
    assert {name: one.drawn for name, one in stratum.variants.items()} == {
        name: cell.told(name) for name in "ab"
    }
    assigned = {name: sum(unpacked("Q", one.assigned)) for name, one in stratum.variants.items()}
    assert sum(assigned.values()) == 5000
    assert math.isclose(assigned["a"], 5000 * 2 / 3, rel_tol=0.05)


def test_what_two_engines_took_is_what_one_would_have_taken(tmp_path: Path) -> None:
    one, two, both = (Lab(tmp_path / name) for name in ("one", "two", "both"))
    for number in range(200):
        draw = number * 0x9E3779B97F4A7C15 % 2**64
        for lab in (both, two if number % 3 else one):
            answer = lab.answer(draw, "ab"[number % 2])
            assert lab.say(Feedback(answer.inference_id, "visits", number)) is None
    together = merged([one.sums.told(), two.sums.told()])
    assert together
    assert together.strata == both.sums.told().strata


def names(count: int, seed: int) -> list[int]:
    """Give names as feedback has them: as good as drawn at random."""
    return [mixed(seed << 40 | number) for number in range(count)]


def taken(folder: Path, many: list[int]) -> tuple[int, Repeats, Book]:
    """Take names in; tells how many were thought to be there already."""
    book = Book(folder / "book", bytes(32), GROUPS * GROUP)
    repeats = Repeats(book.words, FIRST)
    refused = 0
    for start in range(0, len(many), 1000):
        with book.changing() as change:
            refused += sum(not repeats.new(change, name) for name in many[start : start + 1000])
    return refused, repeats, book


def test_fingerprints_take_eight_megabytes() -> None:
    assert GROUPS * GROUP * 8 == 8_000_000


def test_repeats_are_found_and_nothing_else_is(tmp_path: Path) -> None:
    many = names(20_000, 5)
    refused, repeats, book = taken(tmp_path, many)
    assert refused == 0
    with book.changing() as change:
        assert not any(repeats.new(change, name) for name in many)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_repeats_of_the_last_million_are_found_and_nothing_else_is(tmp_path: Path) -> None:
    """New pieces are refused at most once in a million, as sure (95 %) as three million can tell.

    The oldest of the last 2^20 are tried all the way, and at the end all of them.
    """
    many, last = names(3 * 2**20, 5), 2**20
    book = Book(tmp_path / "book", bytes(32), GROUPS * GROUP)
    repeats = Repeats(book.words, FIRST)
    refused = forgotten = 0
    for start in range(0, len(many), 512):
        with book.changing() as change:
            refused += sum(not repeats.new(change, name) for name in many[start : start + 512])
            oldest = max(0, start + 512 - last)
            forgotten += sum(repeats.new(change, name) for name in many[oldest : oldest + 32])
    with book.changing() as change:
        forgotten += sum(repeats.new(change, name) for name in many[-last:])
    assert forgotten == 0
    assert stats.beta.ppf(0.95, refused + 1, len(many) - refused) <= 1e-6
