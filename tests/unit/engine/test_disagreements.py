"""The worst disagreements: which rows are kept, what of them, and that they stay whole."""

import math
from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
import pytest

import graphs
from planes import opened, shadow
from tiltyard_engine.columns import Array, Column
from tiltyard_engine.comparison import distance
from tiltyard_engine.disagreements import ROW_BYTES, Kept, read, worst
from tiltyard_engine.mirrored import Part
from tiltyard_engine.outbox import LaneKey
from tiltyard_engine.slate import Slate


def slate(most: int) -> Slate:
    return Slate(2 + most * ROW_BYTES)


def see(kept: Kept, ours: Column, theirs: Column, inputs: Column | None = None) -> None:
    """Tell of rows none of which match."""
    count = len(ours)
    given = np.arange(count, dtype=np.float32) if inputs is None else inputs
    kept.saw(Part({"x": given}, {"y": ours}, (0, count), 0.0), {"y": theirs}, range(count))


def differences(place: Slate) -> Sequence[float | None]:
    return [one.difference for one in read(place)]


@pytest.mark.parametrize("most", [1, 7, 100])
def test_the_furthest_rows_of_many_are_kept_in_order(most: int) -> None:
    chance = Random(most)
    place = slate(most)
    kept = Kept("y", place)
    seen: list[float] = []
    for _ in range(40):
        apart = [chance.randrange(1, 10_000) / 8 for _ in range(chance.randrange(1, 20))]
        see(kept, np.zeros(len(apart)), np.array(apart))
        seen += apart
        assert differences(place) == sorted(seen, reverse=True)[:most]


def test_another_process_goes_on_from_what_is_there() -> None:
    place = slate(3)
    see(Kept("y", place), np.zeros(3), np.float64([1, 2, math.nan]))
    see(Kept("y", place), np.zeros(2), np.float64([1.5, -3]))
    assert differences(place) == [None, 3, 2]


def test_of_equal_ones_the_newest_stay() -> None:
    place = slate(2)
    kept = Kept("y", place)
    for letter in "abc":
        see(kept, np.array(["x"], object), np.array([letter], object))
    assert [one.challenger for one in read(place)] == ["c", "b"]


def test_a_row_that_is_too_long_is_kept_without_what_is_long() -> None:
    place = slate(3)
    kept = Kept("y", place)
    wide = np.full((1, ROW_BYTES), 0.5, np.float32)
    see(kept, np.float32([0]), np.float32([1]), wide)
    see(kept, wide, wide + 1, wide)
    see(kept, np.float32([[0, 1]]), np.float32([[3, 1]]), np.array([["a", "é"]], object))
    far, *rest = read(place)
    assert (far.difference, far.champion, far.challenger) == (3, [0, 1], [3, 1])
    assert far.inputs == {"x": ["a", "é"]}
    assert [(one.difference, one.challenger, one.inputs) for one in rest] == [
        (1, None, None),
        (1, 1, None),
    ]


def test_what_fills_the_room_to_the_last_byte_fits() -> None:
    place = slate(100)
    kept = Kept("y", place)
    for length in range(ROW_BYTES - 200, ROW_BYTES):
        see(kept, np.float32([0]), np.float32([length]), np.array(["x" * length], object))
    assert differences(place) == [*range(ROW_BYTES - 1, ROW_BYTES - 101, -1)]
    kept = Kept("y", place)
    for number in range(100):
        text = "x" * (ROW_BYTES - 110)
        see(kept, np.float32([0]), np.float32([10**6 + number]), np.array([text], object))
    assert len(place.read()) > 90 * ROW_BYTES
    assert all(one.inputs for one in read(place))


def test_ragged_rows_and_other_lengths_come_first() -> None:
    place = slate(4)
    ours: Column = [np.float32([1, 2]), np.float32([1]), np.float32([])]
    theirs: Column = [np.float32([1, 9]), np.float32([1, 1]), np.float32([5])]
    see(Kept("y", place), ours, theirs)
    assert [(one.difference, one.champion) for one in read(place)] == [
        (None, []),
        (None, [1]),
        (7, [1, 2]),
    ]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (np.float32([[1, 2]]), np.float32([[1, 5]]), 3),
        (np.float32([[math.nan, 2]]), np.float32([[math.nan, 5]]), 3),
        (np.float32([[math.nan, 2]]), np.float32([[1, 2]]), math.inf),
        (np.float32([math.inf]), np.float32([-math.inf]), math.inf),
        (np.float32([[math.inf, 1]]), np.float32([[math.inf, 2]]), 1),
        (np.float64([1.7e308]), np.float64([-1.7e308]), math.inf),
        (np.uint8([0]), np.uint8([255]), 255),
        (np.float32([1.5]), np.int64([1]), 0.5),
        (np.array([True]), np.array([False]), math.inf),
        (np.array(["a"], object), np.array(["b"], object), math.inf),
        (np.float32([[1]]), np.float32([[1, 2]]), math.inf),
    ],
    ids=str,
)
def test_how_far_rows_are_apart(one: Array, other: Array, apart: float) -> None:
    assert distance(one, other) == distance(other, one) == apart


def test_workers_are_merged_and_the_worst_of_all_are_told() -> None:
    key = LaneKey("p", "s", "c")
    places = [slate(3), slate(3), slate(3)]
    see(Kept("y", places[0]), np.zeros(3), np.float64([1, 5, 3]))
    see(Kept("y", places[1]), np.zeros(2), np.float64([4, math.inf]))
    told = worst([{key: place} for place in places], key)
    assert [one.difference for one in told] == [None, 5, 4]


@pytest.mark.parametrize("keep", [0, 2])
def test_a_challenger_is_kept_by_its_lane(tmp_path: Path, keep: int) -> None:
    step = shadow("a", "b", compare={"output": "y", "tolerance": 2, "keep": keep})
    models = {"a": graphs.scaled(2), "b": graphs.scaled(3)}
    with opened(tmp_path, models, [step]) as plane:
        plane.ask([{"x": 1}, {"x": -5}])
        plane.ask([{"x": 3}, {"x": 4}])
        plane.settle("b")
        told = {key: read(place) for key, place in plane.slates.items()}
    if not keep:
        assert told == {}
        return
    (rows,) = told.values()
    assert [(one.difference, one.inputs) for one in rows] == [(5, {"x": [-5]}), (4, {"x": [4]})]
    assert (rows[0].champion, rows[0].challenger) == ([-10], [-15])


def test_what_is_written_is_read_whole() -> None:
    place = Slate(8)
    assert place.read() == b""
    for body in (b"12345678", b"x", b"", b"abc"):
        place.write(body)
        assert place.read() == body
