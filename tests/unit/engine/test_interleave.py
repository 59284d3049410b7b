"""Lists made of two rankings, as callers get them."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import graphs
from planes import Document, Plane, opened
from tiltyard_core.draws import keyed_draw, value_draw
from tiltyard_core.interleaving import team_draft

RANKERS = {"high": graphs.ranking(4), "low": graphs.ranking(3, best_first=False)}
SALT = "default/tested/rank"
SCORES = [0.1, 0.4, 0.3, 0.2]
HIGH, LOW = [1, 2, 3, 0], [0, 3, 2]


def interleave(length: int = 10, **key: object) -> Document:
    fields = {"rankers": ["high", "low"], "output": "items", "length": length}
    return {"name": "rank", "interleave": {**fields, **({"hashKey": key} if key else {})}}


def drafted(draw: int, length: int = 10) -> tuple[list[int | str], list[str]]:
    """What a client works out by itself."""
    items, teams = team_draft((HIGH, LOW), length, draw)
    return items, [("high", "low", "")[team] for team in teams]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with opened(tmp_path_factory.mktemp("keyed"), RANKERS, [interleave(field="k")]) as plane:
        yield plane


def row(**fields: object) -> dict[str, Any]:
    return {"x": SCORES, **fields}


def test_each_row_gets_the_list_that_its_key_draws(keyed: Plane) -> None:
    keys = [f"user-{number}" for number in range(40)]
    answer = keyed.ask([row(k=key) for key in keys])
    expected = [drafted(value_draw(SALT, key)) for key in keys]
    assert answer.out("items") == [items for items, _ in expected]
    assert answer.out("items_team") == [teams for _, teams in expected]
    assert len({tuple(teams) for _, teams in expected}) == 4  # two rounds, a coin each
    assert all(teams[3] == "" for _, teams in expected)  # the shorter ranking has three


def test_a_key_draws_the_same_list_again_and_alone(keyed: Plane) -> None:
    together = keyed.ask([row(k=key) for key in ("a", "b", "c")])
    for index, key in enumerate("abc"):
        alone = keyed.ask([row(k=key)])
        for name in ("items", "items_team"):
            assert alone.out(name) == [together.out(name)[index]]


def test_without_a_key_the_request_is_the_unit(tmp_path: Path) -> None:
    with opened(tmp_path, RANKERS, [interleave(length=3)], draws=[5, 6]) as plane:
        for draw in (5, 6):
            answer = plane.ask([row(), row()])
            assert answer.out("items_team") == [drafted(draw, 3)[1]] * 2
        told = plane.ask([row()], headers={"X-Tiltyard-Inference-Id": "order-7"})
        assert told.out("items_team") == [drafted(keyed_draw(SALT, "order-7"), 3)[1]]


def test_a_pin_gives_one_rankers_own_list_and_runs_no_other(keyed: Plane) -> None:
    runs = "tiltyard_variant_requests_total", "rank"
    before = keyed.count(*runs, "high"), keyed.count(*runs, "low")
    answer = keyed.ask([row(k="a")], headers={"X-Tiltyard-Variant": "rank=low"})
    assert answer.out("items") == [LOW]
    assert answer.out("items_team") == [["low"] * 3]
    assert answer.headers["X-Tiltyard-Variant"] == "rank=low"
    assert keyed.count(*runs, "high") == before[0]
    assert keyed.count(*runs, "low") == before[1] + 1


def test_many_requests_of_a_turn_keep_their_own_lists(keyed: Plane) -> None:
    chance = random.Random(3)
    bodies = [[{"x": [chance.random() for _ in range(4)], "k": f"u{n}"}] for n in range(50)]
    together = [answer.json[0]["out"] for answer in keyed.ask_all(bodies)]
    assert together == [keyed.ask(body).json[0]["out"] for body in bodies]


def test_items_may_be_texts(tmp_path: Path) -> None:
    rankers = {"high": graphs.ranking(4, "string"), "low": graphs.ranking(3, "string")}
    with opened(tmp_path, rankers, [interleave()]) as plane:
        (items,) = plane.ask([row()]).out("items")
        assert items == [str(item) for item in HIGH]


def test_a_ranker_that_fails_fails_the_call_by_name(tmp_path: Path) -> None:
    rankers = {"high": graphs.ranking(3, width="W"), "low": graphs.ranking(4, width="W")}
    with opened(tmp_path, rankers, [interleave()]) as plane:
        assert plane.ask([row()]).status == 200
        answer = plane.ask([{"x": SCORES[:3]}])
        assert answer.status == 500
        assert answer.json["reason"] == "ModelFailed"
        assert answer.json["error"].startswith("step 'rank': model 'low' failed")


def test_the_next_step_may_take_the_list(tmp_path: Path) -> None:
    rankers = {"high": graphs.ranking(4), "low": graphs.ranking(4, best_first=False)}
    shown = graphs.identity("int64", ("N", 4), "items shown")
    steps = [interleave(length=4), {"name": "show", "model": "shown"}]
    with opened(tmp_path, {**rankers, "shown": shown}, steps, draws=[9]) as plane:
        (items,) = plane.ask([row()]).out("shown")
        assert sorted(items) == [0, 1, 2, 3]
