import random
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

import graphs
from planes import Plane, opened, split
from tiltyard_core.draws import DRAW_SPACE, keyed_draw, pick, thresholds, value_draw
from tiltyard_engine.faces.variants import read_pins

FIRST, SECOND = 0.1, 0.9
"""Keys that are draws themselves: of the first and the second of two equal variants."""

MODELS = {"a": graphs.scaled(1), "b": graphs.scaled(2), "c": graphs.scaled(3)}
SALT = "default/tested/price"


@pytest.fixture(scope="module")
def thirds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    steps = [split("a", "b", "c", field="k")]
    with opened(tmp_path_factory.mktemp("thirds"), MODELS, steps) as plane:
        yield plane


def served_by(answer: list[float]) -> str:
    return "abc"[round(answer[0]) - 1]


@pytest.mark.parametrize("seed", range(20))
def test_each_row_of_a_divided_batch_equals_what_its_variant_gives_alone(
    thirds: Plane, seed: int
) -> None:
    random.seed(seed)
    keys = [random.choice([f"u{n}", n + 2, n / 40]) for n in range(random.randint(1, 40))]
    rows = [{"x": random.gauss(0, 1), "k": key} for key in keys]
    together = thirds.ask(rows).out()
    assert together == [thirds.ask([row]).out()[0] for row in rows]
    chosen = [pick(thresholds([1, 1, 1]), value_draw(SALT, key)) for key in keys]
    for row, index, (value,) in zip(rows, chosen, together, strict=True):
        assert value == pytest.approx(row["x"] * (index + 1), rel=1e-6)


def test_bodies_of_one_turn_are_divided_each_for_itself(thirds: Plane) -> None:
    bodies = [[{"x": 1, "k": f"{n}-{row}"} for row in range(1 + n % 5)] for n in range(30)]
    answers = thirds.ask_all(bodies)
    assert [answer.out() for answer in answers] == [thirds.ask(body).out() for body in bodies]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("string", ["a\u0000", "longer than the others", ""]),
        ("float64", [1, 2, 3]),
        ("bool", [True] * 3),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (2,)], ids=str)
def test_rows_of_any_type_are_put_back_in_order(
    tmp_path: Path, kind: str, values: list[object], shape: tuple[int, ...]
) -> None:
    models = {"a": graphs.identity(kind, ("N", *shape)), "b": graphs.identity(kind, ("M", *shape))}
    rows = [
        {"x": [value] * shape[0] if shape else value, "k": key}
        for value, key in zip(values, (SECOND, FIRST, SECOND), strict=True)
    ]
    with opened(tmp_path, models, [split("a", "b", field="k")]) as plane:
        answer = plane.ask(rows)
    assert answer.out() == [row["x"] for row in rows]
    assert answer.headers["X-Tiltyard-Variant"] == "price=b;rows=2,price=a;rows=1"


def test_ragged_rows_are_divided_and_put_back_too(tmp_path: Path) -> None:
    models = {"a": graphs.row_sums(), "b": graphs.row_sums() + b"\x52\x00"}
    lists: list[list[float]] = [[1], [1, 2], [], [1, 2, 3]]
    rows = [{"x": x, "k": k} for x, k in zip(lists, (FIRST, SECOND, SECOND, FIRST), strict=True)]
    with opened(tmp_path, models, [split("a", "b", field="k")]) as plane:
        assert plane.ask(rows).out() == [[float(sum(x))] for x in lists]


def test_boxes_of_two_detectors_are_put_back_in_order(tmp_path: Path) -> None:
    models = {"a": graphs.detector(), "b": graphs.detector() + b"\x52\x00"}
    rows = [{"x": [n, -1, n, -1], "k": k} for n, k in ((1, SECOND), (-2, FIRST), (3, SECOND))]
    with opened(tmp_path, models, [split("a", "b", field="k")]) as plane:
        assert plane.ask(rows).out("boxes") == [[1, 1], [], [3, 3]]


@pytest.mark.parametrize(
    ("key", "draw"),
    [
        ("u1", keyed_draw(SALT, "u1")),
        (7, keyed_draw(SALT, "7")),
        (7.0, keyed_draw(SALT, "7")),
        (2**64 + 1, keyed_draw(SALT, str(2**64 + 1))),
        (-3, keyed_draw(SALT, "-3")),
        (0, keyed_draw(SALT, "0")),
        (0.25, DRAW_SPACE // 4),
        ("", keyed_draw(SALT, "")),
    ],
)
def test_keys_draw_as_published(thirds: Plane, key: object, draw: int) -> None:
    answer = thirds.ask([{"x": 1, "k": key}]).out()[0]
    assert served_by(answer) == "abc"[pick(thresholds([1, 1, 1]), draw)]


@pytest.mark.parametrize(
    ("key", "reason", "words"),
    [
        (1.5, "HashKeyOutOfRange", "neither in [0, 1) nor whole"),
        (-0.5, "HashKeyOutOfRange", "send a text, an integer"),
        (True, "WrongType", "is a boolean"),
        (["u"], "WrongType", "is a list"),
    ],
)
def test_keys_that_draw_nothing_are_refused_by_row(
    thirds: Plane, key: object, reason: str, words: str
) -> None:
    answer = thirds.ask([{"x": 1, "k": "u"}, {"x": 1, "k": key}]).json
    assert (answer["reason"], answer["field"], answer["row"]) == (reason, "k", 1)
    assert words in answer["error"]


@pytest.mark.parametrize(
    ("missing", "status", "variants"),
    [("first", 200, "a"), ("random", 200, "b"), ("reject", 400, "")],
)
@pytest.mark.parametrize("rows", [[{"x": 1}], [{"x": 1, "k": None}], [{"x": 1}] * 3], ids=str)
def test_a_missing_key_is_treated_as_the_manifest_says(
    tmp_path: Path, missing: str, status: int, variants: str, rows: list[object]
) -> None:
    steps = [split("a", "b", field="k", missing=missing)]
    models = {name: MODELS[name] for name in "ab"}
    with opened(tmp_path, models, steps, draws=[DRAW_SPACE - 1]) as plane:
        answer = plane.ask(rows)
        assert answer.status == status
        if status == 200:
            assert {served_by(one) for one in answer.out()} == {variants}
            assert plane.count("tiltyard_hash_key_missing_total", "price") == 1
        else:
            assert (answer.json["reason"], answer.json["field"]) == ("HashKeyMissing", "k")


def test_rows_without_their_key_are_drawn_each_for_itself(tmp_path: Path) -> None:
    rows = [{"x": 1, "k": key} for key in (None, FIRST, None, SECOND)]
    models = {name: MODELS[name] for name in "ab"}
    draws = [DRAW_SPACE - 1, 0]
    with opened(tmp_path, models, [split("a", "b", field="k")], draws=draws) as plane:
        assert [served_by(one) for one in plane.ask(rows).out()] == ["b", "a", "a", "b"]
        assert plane.count("tiltyard_hash_key_missing_total", "price") == 1


def test_a_header_draws_for_the_whole_request(tmp_path: Path) -> None:
    ends = thresholds([1, 1])
    models = {name: MODELS[name] for name in "ab"}
    with opened(tmp_path, models, [split("a", "b", header="X-User")]) as plane:
        for user in ("u1", "u2", "u3", "0.9", ""):
            answer = plane.ask([{"x": 1}] * 3, headers={"x-user": user}).out()
            chosen = "ab"[pick(ends, keyed_draw(SALT, user))]
            assert {served_by(one) for one in answer} == {chosen}


def test_without_a_key_the_clients_own_id_draws_and_else_chance(tmp_path: Path) -> None:
    ends = thresholds([1, 1])
    models = {name: MODELS[name] for name in "ab"}
    with opened(tmp_path, models, [split("a", "b")], draws=[DRAW_SPACE - 1]) as plane:
        assert served_by(plane.ask([{"x": 1}] * 2).out()[0]) == "b"
        for name in ("r1", "r2", "r3", "r4"):
            answer = plane.ask([{"x": 1}], headers={"X-Tiltyard-Inference-Id": name})
            chosen = "ab"[pick(ends, keyed_draw(SALT, name))]
            assert served_by(answer.out()[0]) == chosen


def test_a_pin_reaches_weight_0_and_is_kept_out_of_the_statistics(tmp_path: Path) -> None:
    models = {name: MODELS[name] for name in "ab"}
    with opened(tmp_path, models, [split("a", "b", weights=[1, 0], field="k")]) as plane:
        rows = [{"x": 1, "k": f"u{n}"} for n in range(50)]
        assert {served_by(one) for one in plane.ask(rows).out()} == {"a"}
        pinned = plane.ask(rows, headers={"X-Tiltyard-Variant": "price=b"})
        assert {served_by(one) for one in pinned.out()} == {"b"}
        assert plane.count("tiltyard_pinned_requests_total", "price") == 1


@pytest.mark.parametrize(
    ("pin", "words"),
    [
        ("price=z", "no variant 'z' (there: a, b, c): correct the pin"),
        ("size=a", "no step 'size' with variants (there: price)"),
        ("a", "not of the form step=model"),
        ("price=a,price=b", "pinned to 'a' and 'b': ask for one of them"),
        ("price=", "no variant ''"),
    ],
)
def test_a_pin_of_what_is_not_there_is_refused(thirds: Plane, pin: str, words: str) -> None:
    answer = thirds.ask([{"x": 1, "k": 1}], headers={"X-Tiltyard-Variant": pin})
    assert (answer.status, answer.json["reason"]) == (400, "UnknownVariant")
    assert words in answer.json["error"]


def test_a_variant_that_fails_refuses_the_whole_divided_batch_and_nobody_else(
    tmp_path: Path,
) -> None:
    models = {"a": graphs.picky(), "b": graphs.picky() + b"\x52\x00"}
    with opened(tmp_path, models, [split("a", "b", field="k")]) as plane:
        bad = [{"x": 0, "k": FIRST}, {"x": 9, "k": SECOND}]
        good = [{"x": 2, "k": FIRST}, {"x": 1, "k": SECOND}]
        answers = plane.ask_all([good, bad, good])
        assert [answer.status for answer in answers] == [200, 500, 200]
        assert answers[1].json["reason"] == "ModelFailed"
        assert "step 'price': model 'b' failed" in answers[1].json["error"]
        assert answers[0].out() == answers[2].out() == [2.5, 1.5]
        counts = [
            plane.count("tiltyard_variant_errors_total", "price", name, "ModelFailed")
            for name in "ab"
        ]
        assert counts == [0, 1]


def test_however_many_pins_are_sent_what_is_remembered_of_them_is_bounded() -> None:
    tracemalloc.start()
    try:
        for number in range(500):
            read_pins(b"price=%d" % number + b"x" * 30_000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 12_000_000  # all of them would take 30 MB
