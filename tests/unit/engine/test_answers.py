import itertools
import json
import math
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

import graphs
from planes import Plane, opened, shadow, split

GROUPS = ("time", "in", "out", "anomaly", "metadata")
KEYS = [0.1, 0.9]
"""Draws themselves: the first belongs to the first of two equal variants."""


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    models = {"a": graphs.scaled(2), "b": graphs.scaled(3)}
    steps = [split("a", "b", field="k"), shadow("a", "b", outputs="respond", budget="20s")]
    steps[1]["inputs"] = {"x": "request.x"}
    with opened(tmp_path_factory.mktemp("everything"), models, steps) as plane:
        yield plane


@pytest.fixture(scope="module")
def repeater(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    with opened(tmp_path_factory.mktemp("repeater"), {"a": graphs.identity()}) as plane:
        yield plane


def rendered(row: Mapping[str, Any], wanted: set[str], excluded: set[str], *, flat: bool) -> Any:
    """Say slowly what a row of the full answer looks like through the `dataset` parameters."""

    def kept(group: str, column: str) -> bool:
        if column in wanted:
            return True
        named_out = column in excluded or group in excluded
        return not named_out and (group in wanted or "*" in wanted or not wanted)

    answer: dict[str, Any] = {}
    for group, value in row.items():
        if not isinstance(value, dict):
            if kept(group, group):
                answer[group] = value
            continue
        fields = {name: one for name, one in value.items() if kept(group, f"{group}.{name}")}
        if flat:
            answer |= {f"{group}.{name}": one for name, one in fields.items()}
        elif fields:
            answer[group] = fields
    return answer


def steady(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give rows less what differs from one answer to the next."""
    for row in rows:
        row.pop("time", None)
        row.pop("metadata.elapsed", None)
        row.pop("metadata.inference_id", None)
        for name in ("elapsed", "inference_id"):
            row.get("metadata", {}).pop(name, None)
    return rows


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("wanted", "excluded"),
    [
        ("", ""),
        ("*", ""),
        *((group, "") for group in GROUPS),
        *(("", group) for group in GROUPS),
        ("out.y", ""),
        ("in.x in. anomaly.count", "in anomaly"),
        ("*", "in.x out._model_split metadata.variants"),
        ("* in.x", "in"),
        ("out_b out", "out.y"),
        ("out_b.y", ""),
        ("in", 'in.x in.k in.* in. in."'),
        ("", " ".join(GROUPS)),
        ("out.nothing", ""),
    ],
)
def test_every_selection_gives_what_a_slow_reader_of_the_rules_gives(
    everything: Plane, wanted: str, excluded: str, *, flat: bool
) -> None:
    named, left_out = set(wanted.split()), set(excluded.split())
    rows = [{"x": n, "k": key, "*": 1, "": [2], 'in"': "},{"} for n, key in enumerate(KEYS)]
    parameters = [("dataset[]", one) for one in sorted(named)]
    parameters += [("dataset.exclude[]", one) for one in sorted(left_out)]
    parameters += [("dataset.separator", ".")] if flat else []
    for sent in (rows, rows[:1]):
        whole = everything.ask(sent).json
        chosen = everything.ask(sent, urlencode(parameters)).json
        expected = [rendered(row, named, left_out, flat=flat) for row in whole]
        assert steady(chosen) == steady(expected)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("dataset[]=nowhere", "known are"),
        ("dataset=time", "known are"),
        ("dataset.separator=_", "known are"),
        ("dataset.flatten=yes", "known are"),
        ("&".join(["dataset[]=in"] * 1001), "more than 1000 parameters"),
    ],
)
def test_a_parameter_that_means_nothing_is_refused_by_name(
    repeater: Plane, query: str, words: str
) -> None:
    answer = repeater.ask([{"x": 1}], query)
    assert (answer.status, answer.json["reason"]) == (400, "UnknownParameter")
    assert words in answer.json["error"]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("float16", [0.1, -65504, 6e-8, 1.5, 0.333251953125]),
        ("float32", [0.1, -3.4028235e38, 1e-45, 16777217, 1 / 3]),
        ("float64", [0.1, 1.7976931348623157e308, 5e-324, 1 / 3]),
        *((f"int{bits}", [-(2 ** (bits - 1)), 0, 2 ** (bits - 1) - 1]) for bits in (8, 16, 32, 64)),
        *((f"uint{bits}", [0, 1, 2**bits - 1]) for bits in (8, 16, 32, 64)),
        ("bool", [True, False]),
        ("string", ["", 'q"\\', "é\U0001f600", "a\nb\u0000", "},{"]),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 1)], ids=str)
def test_every_type_comes_back_as_it_was_sent(
    tmp_path: Path, kind: str, values: list[Any], shape: tuple[int, ...]
) -> None:
    with opened(tmp_path, {"a": graphs.identity(kind, ("N", *shape))}) as plane:
        count = math.prod(shape)
        rows = [
            {"x": np.array([v] * count, object).reshape(shape).tolist() if shape else v}
            for v in values
        ]
        for sent in (rows, *([row] for row in rows)):
            gave = plane.ask(sent).out()
            wanted = np.array([row["x"] for row in sent], object if kind == "string" else kind)
            back = np.array(gave, wanted.dtype)
            assert back.shape == wanted.shape
            assert back.tolist() == wanted.tolist()


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("float16", 0.1, b"0.1"),
        ("float16", 1 / 3, b"0.3333"),
        ("float32", 0.1, b"0.1"),
        ("float32", 1 / 3, b"0.33333334"),
        ("float64", 1 / 3, b"0.3333333333333333"),
    ],
)
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)], ids=str)
def test_floats_have_the_fewest_digits_that_name_them(
    tmp_path: Path, kind: str, value: float, text: bytes, shape: tuple[int, ...]
) -> None:
    with opened(tmp_path, {"a": graphs.identity(kind, ("N", *shape))}) as plane:
        for count in (1, 3):
            sent = np.full(shape, value).tolist()
            answer = plane.ask([{"x": sent}] * count, "dataset[]=out").body
            brackets = len(shape)
            expected = b'{"out":{"y":' + b"[" * brackets + text + b"]" * brackets + b"}}"
            assert answer == b"[" + b",".join([expected] * count) + b"]"


def test_what_is_no_number_is_null_and_counted(tmp_path: Path) -> None:
    with opened(tmp_path, {"a": graphs.logarithm()}) as plane:
        assert plane.ask([{"x": -1}, {"x": 0}, {"x": 1}]).out() == [[None], [None], [0.0]]
        assert plane.ask([{"x": None}]).out() == [[None]]
        assert plane.count("tiltyard_nonfinite_outputs_total", "run-a", "a") == 3


@pytest.mark.parametrize(
    "body",
    [
        b'[{"x":1},{"x":2}]',
        b' [ {"x" : 1.50} , {"x":2e0}\n] ',
        b'[{"x":1}, {"x":2}]',
        b'[{"x":1},\t{"x":2},{"x":3}, {"x":4}]',
        b'[{"x":1,"s":"},{"},{"x":2,"s":"}, {"}]',
        b'[{"x":1,"n":{"a":[{},{}]}},{"x":2,"n":{"a":[{}]}}]',
        b'[{"x":1,"e":1e999,"big":123456789012345678901234567890},{"x":2,"e":0,"big":-0.0}]',
        b'[\n{ "x":1 ,"u":"\\u00e9\\ud83d\\ude00"}\n]',
        b'[{"x":null}]',
        b'[{"x":[1]}]',
    ],
)
@pytest.mark.parametrize("query", ["", "dataset.flatten=true", "dataset[]=in.x&dataset[]=in.s"])
def test_what_was_sent_is_repeated_to_the_digit(repeater: Plane, body: bytes, query: str) -> None:
    exactly: dict[str, Any] = {"parse_float": str, "parse_int": str}
    answer = repeater.ask(body, query)
    rows = json.loads(answer.body, **exactly)
    for row, sent in zip(rows, json.loads(body, **exactly), strict=True):
        named = {f"in.{name}": value for name, value in sent.items()}
        if query.startswith("dataset[]"):
            assert row["in"] == {name: sent[name] for name in ("x", "s") if name in sent}
        elif query:
            assert {name: row[name] for name in named} == named
        else:
            assert row["in"] == sent


def test_the_split_satisfies_both_helpers_that_clients_know(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2)}
    with opened(tmp_path, models, [split("a", "b", field="k")]) as plane:
        digests = {model.name: model.digest for model in plane.plan.models}
        for row, name in zip(plane.ask([{"x": 1, "k": k} for k in KEYS]).json, "ab", strict=True):
            (text,) = row["out"]["_model_split"]
            told = json.loads(text)
            assert told["name"] == told["model_version"]["name"] == name
            assert told["sha"] == told["model_version"]["file_info"]["sha"] == digests[name]
            assert json.loads(row["metadata"]["last_model"]) == {
                "model_name": name,
                "model_sha": digests[name],
            }
            assert row["metadata"]["variants"] == {"price": name}


def test_a_divided_batch_has_an_id_a_row_and_says_who_served_how_many(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2)}
    with opened(tmp_path, models, [split("a", "b", field="k")]) as plane:
        answer = plane.ask([{"x": 1, "k": key} for key in (0.9, 0.1, 0.9)])
        whole = plane.ask([{"x": 1, "k": key} for key in (0.9, 0.8)])
    name = answer.headers["X-Tiltyard-Inference-Id"]
    ids = [row["metadata"]["inference_id"] for row in answer.json]
    assert ids == [f"{name}-0", f"{name}-1", f"{name}-2"]
    assert answer.headers["X-Tiltyard-Variant"] == "price=b;rows=2,price=a;rows=1"
    assert whole.headers["X-Tiltyard-Variant"] == "price=b"
    name = whole.headers["X-Tiltyard-Inference-Id"]
    assert [row["metadata"]["inference_id"] for row in whole.json] == [name, name]


def test_metadata_tells_version_place_and_time_of_each_step(tmp_path: Path) -> None:
    models = {"a": graphs.identity(), "b": graphs.identity(names="y z")}
    with opened(tmp_path, models) as plane:
        for rows in (1, 3):
            for row in plane.ask([{"x": 1}] * rows).json:
                told = row["metadata"]
                assert told["pipeline_version"] == plane.plan.version
                assert (told["dropped"], told["partition"]) == ([], "test")
                assert len(told["elapsed"]) == 3
                assert all(isinstance(n, int) and n >= 0 for n in told["elapsed"])
                assert row["anomaly"] == {"count": 0}
                assert list(row) == list(GROUPS)


def test_outputs_of_other_length_from_row_to_row_are_answered(tmp_path: Path) -> None:
    with opened(tmp_path, {"a": graphs.detector()}) as plane:
        answer = plane.ask([{"x": [1, -1, 2, 0]}, {"x": [-1, -1, -1, -1]}, {"x": [1, 2, 3, 4]}])
    assert answer.out("boxes") == [[1, 2], [], [1, 2, 3, 4]]
    assert answer.out("shape") == [[2], [0], [4]]


def test_answers_of_a_challenger_stand_beside_the_champions(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2)}
    with opened(tmp_path, models, [shadow("a", "b", outputs="respond", budget="20s")]) as plane:
        for rows in (1, 2):
            answer = plane.ask([{"x": 3}] * rows)
            assert answer.out() == [[3.0]] * rows
            assert [row["out_b"]["y"] for row in answer.json] == [[6.0]] * rows
            assert "_model_split" not in answer.json[0]["out"]


def test_ids_are_unique(repeater: Plane) -> None:
    answers = repeater.ask_all([[{"x": 1}]] * 50)
    assert len({answer.headers["X-Tiltyard-Inference-Id"] for answer in answers}) == 50


def float32s() -> list[float]:
    """Give a spread over all exponents and mantissas of float32."""
    words = itertools.chain(range(0, 2**32, 1_000_003), (0, 1, 0x7F7FFFFF, 0x80000000, 0x00800000))
    return [struct.unpack("f", struct.pack("I", word))[0] for word in words]


def test_thousands_of_floats_survive_the_way_there_and_back_bit_for_bit(repeater: Plane) -> None:
    values = [value for value in float32s() if math.isfinite(value)]
    gave = repeater.ask([{"x": value} for value in values]).out()
    assert np.array(gave, np.float32).tobytes() == np.array(values, np.float32).tobytes()
