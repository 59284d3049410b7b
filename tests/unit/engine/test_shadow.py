import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

import graphs
from planes import opened, shadow
from tiltyard_api.figures import Confusion
from tiltyard_api.plan import PlanShadow
from tiltyard_core.draws import DRAW_SPACE
from tiltyard_engine.columns import Array, Column
from tiltyard_engine.comparison import Compared, comparer
from tiltyard_engine.figures import figures_of
from waiting import await_that

CHALLENGERS: Mapping[str, bytes] = {
    "nan": graphs.logarithm(),
    "hangs": graphs.endless(),
    "many-rows": graphs.wrong_rows(),
    "quantised": graphs.quantised(1),
}
"""Each misbehaves in its own way on the rows of these tests."""


@pytest.mark.parametrize("name", ["nan", "hangs", "many-rows", "quantised"])
@pytest.mark.parametrize("outputs", ["log", "respond"])
def test_no_challenger_changes_the_champions_answer(
    tmp_path: Path, name: str, outputs: str
) -> None:
    alone_folder, beside_folder = tmp_path / "alone", tmp_path / "beside"
    alone_folder.mkdir()
    beside_folder.mkdir()
    bodies = [[{"x": -1.5}], [{"x": 2e6}, {"x": 3}], [{"x": 7}] * 5]
    with opened(alone_folder, {"a": graphs.scaled(2)}) as plane:
        expected = [answer.out() for answer in plane.ask_all(bodies)]
    models = {"a": graphs.scaled(2), "b": CHALLENGERS[name]}
    step = shadow("a", "b", outputs=outputs, timeout="200ms")
    if outputs == "respond":
        step["shadow"]["budget"] = "300ms"
    with opened(beside_folder, models, [step]) as plane:
        answers = plane.ask_all(bodies)
        assert [answer.out() for answer in answers] == expected
        if outputs == "respond":
            assert all("out_b" in row for answer in answers for row in answer.json)
    offered, ended = plane.accounts("b")
    assert offered == ended == len(bodies)


def test_a_challenger_that_misses_the_budget_or_fails_is_null(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.endless()}
    step = shadow("a", "b", outputs="respond", budget="50ms", timeout="100ms")
    with opened(tmp_path, models, [step]) as plane:
        rows = plane.ask([{"x": 1}, {"x": 2e6}]).json
        assert [row["out"]["y"] for row in rows] == [[2.0], [4e6]]
        assert [row["out_b"] for row in rows] == [{"y": None}] * 2
    offered, ended = plane.accounts("b")
    assert offered == ended == 1


def test_a_challenger_that_was_sampled_out_is_null_in_the_answer(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.scaled(3)}
    step = shadow("a", "b", sample=0.5, outputs="respond", budget="20s")
    with opened(tmp_path, models, [step], draws=[DRAW_SPACE // 2, DRAW_SPACE // 2 - 1]) as plane:
        answers = [plane.ask([{"x": 1}]).json[0]["out_b"]["y"] for _ in range(4)]
        assert answers == [None, [3.0]] * 2
        assert plane.count("tiltyard_shadow_offered_total", "watch", "b") == 2


@pytest.mark.parametrize(("sample", "seen"), [(1, 1), (0, 0)])
@pytest.mark.parametrize("draw", [0, DRAW_SPACE - 1])
def test_a_sample_of_1_sees_every_draw_and_one_of_0_none(
    tmp_path: Path, sample: float, seen: int, draw: int
) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.scaled(3)}
    with opened(tmp_path, models, [shadow("a", "b", sample=sample)], draws=[draw]) as plane:
        plane.ask([{"x": 1}])
        assert plane.count("tiltyard_shadow_offered_total", "watch", "b") == seen


def test_challengers_with_other_output_names_are_logged_and_answered(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.identity(names="x other")}
    with opened(tmp_path, models, [shadow("a", "b", outputs="respond", budget="20s")]) as plane:
        (row,) = plane.ask([{"x": 3}]).json
    assert row["out_b"] == {"other": [3.0]}
    assert row["out"] == {"y": [6.0]}


@pytest.mark.parametrize(
    ("factor", "tolerance", "matches"), [(2, 0, 3), (3, 0, 1), (3, 1, 2), (3, 10, 3)]
)
@pytest.mark.parametrize("outputs", ["log", "respond"])
def test_rows_are_compared_within_the_tolerance(
    tmp_path: Path, factor: float, tolerance: float, matches: int, outputs: str
) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.scaled(factor)}
    compare = {"output": "y", "tolerance": tolerance}
    step = shadow("a", "b", outputs=outputs, compare=compare)
    if outputs == "respond":
        step["shadow"]["budget"] = "20s"
    if factor == 2:
        models["b"] += b"\x52\x00"
    with opened(tmp_path, models, [step]) as plane:
        plane.ask([{"x": 0}, {"x": 1}, {"x": -9}])
        plane.settle("b")
    counts = [
        plane.count("tiltyard_shadow_compared_total", "watch", "b", result)
        for result in ("match", "mismatch")
    ]
    assert counts == [matches, 3 - matches]


def compared(
    one: Column, other: Column, tolerance: float, threshold: float | None = None
) -> Compared:
    plan = PlanShadow(
        name="watch",
        inputs=(),
        outputs=(),
        champion="a",
        challengers=("b",),
        respond=False,
        budget=1,
        timeout=1,
        compare_output="y",
        tolerance=tolerance,
        threshold=threshold,
    )
    return comparer(plan)({"y": one}, {"y": other}, len(one))


@pytest.mark.parametrize(
    ("one", "other", "tolerance", "same"),
    [
        (np.float32([math.nan]), np.float32([math.nan]), 0, True),
        (np.float32([math.inf]), np.float32([math.inf]), 0, True),
        (np.float32([math.inf]), np.float32([-math.inf]), 9, False),
        (np.float32([3e38]), np.float32([-3e38]), 1, False),
        (np.float16([65504]), np.float16([-65504]), 1, False),
        (np.float64([1e308]), np.float64([-1e308]), 1, False),
        (np.float32([1]), np.float64([1]), 0, True),
        (np.float32([1]), np.int64([1]), 0, True),
        (np.float32([1.5]), np.int64([1]), 0.5, True),
        (np.int64([1]), np.int64([2]), 1, True),
        (np.uint8([0]), np.uint8([255]), 1, False),
        (np.int64([2**60]), np.int64([2**60 + 1]), 0, False),
        (np.array(["a"], object), np.array(["a"], object), 0, True),
        (np.array(["a"], object), np.array(["b"], object), 1, False),
        (np.array(["1"], object), np.float32([1]), 0, False),
        (np.array([True]), np.array([True]), 0, True),
        (np.array([True]), np.float32([1]), 0, True),
        (np.float32([[1, 2]]), np.float32([[1]]), 9, False),
    ],
    ids=str,
)
def test_any_two_outputs_can_be_compared(
    one: Array, other: Array, tolerance: float, *, same: bool
) -> None:
    misses = [] if same else [0]
    assert compared(one, other, tolerance)[:2] == (1, misses)
    assert compared(other, one, tolerance)[:2] == (1, misses)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (np.float32([]), np.float32([]), True),
        (np.float32([1, 2, 3]), np.float32([1, 2, 3.5]), True),
        (np.float32([1, 2, 3]), np.float32([1, 2, 3.6]), False),
        (np.float32([1, 2]), np.float32([2, 1]), False),
        (np.float32([1, 2]), np.float32([1, 2, 3]), False),
        (np.float32([1]), np.float32(1), False),
        (np.array(["a", "b"], object), np.array(["a", "b"], object), True),
        (np.array(["a", "b"], object), np.array(["b", "a"], object), False),
        (np.array(["1", "2"], object), np.float32([1, 2]), False),
    ],
    ids=str,
)
def test_lists_match_as_a_whole(one: Array, other: Array, *, same: bool) -> None:
    """Beside a row of another length, so that the rows are ragged."""
    ragged = np.float32([0, 0, 0, 0])
    found = compared([one, ragged], [other, ragged], 0.5)
    assert found == compared([other, ragged], [one, ragged], 0.5)
    assert found[:2] == (2, [] if same else [0])


@pytest.mark.parametrize(
    ("one", "other", "threshold", "sides"),
    [
        (np.float32([0.6, 0.4, 0.6, 0.4]), np.float32([0.6, 0.4, 0.4, 0.6]), 0.5, (1, 1, 1, 1)),
        (np.float32([[0.5], [0.5]]), np.float32([[0.5], [0.49]]), 0.5, (1, 0, 1, 0)),
        (np.float32([0.7]), np.float64([0.7]), 0.7, (1, 0, 0, 0)),
        (np.float16([0.7]), np.float32([0.69999]), 0.7, (0, 0, 1, 0)),
        (np.float32([math.nan, 1, 1]), np.float32([1, math.nan, 1]), 0.5, (1, 0, 0, 0)),
        (np.float32([math.inf, -math.inf]), np.float32([-math.inf, 0]), 0.5, (0, 1, 1, 0)),
        (np.float32([3e38]), np.float64([1e300]), 1e200, (0, 0, 0, 1)),
        (np.int64([3, -3]), np.uint8([3, 3]), 2.5, (1, 0, 0, 1)),
        (np.float32([1, -1]), np.float32([1, -1]), 0, (1, 1, 0, 0)),
        (np.float32([1, -1]), np.float32([1, -1]), None, (0, 0, 0, 0)),
        (np.float32([[1, 2]]), np.float32([[1, 2]]), 0, (0, 0, 0, 0)),
        (np.array(["a"], object), np.array(["a"], object), 0, (0, 0, 0, 0)),
        (np.float32([]), np.float32([]), 0, (0, 0, 0, 0)),
    ],
    ids=str,
)
def test_rows_are_on_either_side_of_a_threshold(
    one: Array, other: Array, threshold: float | None, sides: tuple[int, ...]
) -> None:
    assert compared(one, other, 0, threshold).sides == sides
    above, below, negatives, positives = sides
    turned = (above, below, positives, negatives)
    assert compared(other, one, 0, threshold).sides == turned


@pytest.mark.parametrize("outputs", ["log", "respond"])
@pytest.mark.parametrize("threshold", [None, 5])
def test_sides_are_counted_where_there_is_a_threshold(
    tmp_path: Path, outputs: str, threshold: float | None
) -> None:
    """2 x beside 3 x: of 1, 2, 3 and 9 it is 2 where they part at 5."""
    step = shadow("a", "b", outputs=outputs, compare={"output": "y", "threshold": threshold})
    if outputs == "respond":
        step["shadow"]["budget"] = "20s"
    models = {"a": graphs.scaled(2), "b": graphs.scaled(3)}
    with opened(tmp_path, models, [step]) as plane:
        plane.ask([{"x": 1}, {"x": 2}])
        plane.ask([{"x": 3}, {"x": 9}])
        plane.settle("b")
        told = figures_of(plane.counters, (plane.plan.pipeline, "watch", "b")).confusion
    if threshold is None:
        assert told is None
    else:
        assert told == Confusion(both_above=2, both_below=1, false_negatives=0, false_positives=1)


def test_a_champion_that_fails_offers_nothing_to_log(tmp_path: Path) -> None:
    models = {"a": graphs.picky(), "b": graphs.picky() + b"\x52\x00"}
    with opened(tmp_path, models, [shadow("a", "b")]) as plane:
        answers = plane.ask_all([[{"x": 7}], [{"x": 1}]])
        assert [answer.status for answer in answers] == [500, 200]
    assert plane.accounts("b") == (1, 1)


@pytest.mark.parametrize("turns", [1, 3])
def test_a_challenger_whose_rows_may_not_be_stacked_sees_each_request_alone(
    tmp_path: Path, turns: int
) -> None:
    models = {"a": graphs.quantised(1), "b": graphs.quantised(1) + b"\x52\x00"}
    step = shadow("a", "b", compare={"output": "y", "tolerance": 0})
    bodies = [[{"x": 2e6 if n % 3 else 0.3 * n}] for n in range(12)]
    with opened(tmp_path, models, [step]) as plane:
        for _ in range(turns):
            plane.ask_all(bodies)
        plane.settle("b")
        compared = ("tiltyard_shadow_compared_total", "watch", "b")
        assert plane.count("tiltyard_shadow_run_total", "watch", "b") == 12 * turns
        assert plane.count(*compared, "match") == 12 * turns
        assert plane.count(*compared, "mismatch") == 0


def test_a_full_queue_drops_the_newest_and_counts_it(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(2), "b": graphs.endless()}
    with opened(tmp_path, models, [shadow("a", "b", timeout="20s")]) as plane:
        plane.ask([{"x": 2e6}])  # keeps the lane busy
        for _ in range(6):
            plane.ask_all([[{"x": 2e6}]] * 200)
        full = ("tiltyard_shadow_dropped_total", "watch", "b", "full")
        await_that(lambda: plane.count(*full) >= 100)
        assert plane.count(*full) <= 200, "what one turn brings is queued whole or not at all"
    offered, ended = plane.accounts("b")
    assert offered == ended == 1201
