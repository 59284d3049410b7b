"""The SageMaker runtime: forms of rows, CSV, headers, and its errors."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import graphs
from planes import Answer, Plane, opened, split
from served_models import scaled, slow
from tiltyard_core.draws import keyed_draw

INVOKE = "/endpoints/tested/invocations"
CSV = {"Content-Type": "text/csv"}
FLAT = 4 * 1024 * 1024

COLUMNS = {
    "inputs": [
        {"name": "f", "from": "x", "type": "float32", "shape": [3], "columns": ["a", "b", "c"]}
    ]
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Columns a, b and c, doubled."""
    folder = tmp_path_factory.mktemp("one")
    models = {"m": graphs.scaled(2, width=3)}
    with opened(folder, models, entries={"m": COLUMNS}) as plane:
        yield plane


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A text, as it was sent."""
    with opened(tmp_path_factory.mktemp("texts"), {"m": graphs.identity("string")}) as plane:
        yield plane


def invoke(plane: Plane, body: object, path: str = INVOKE, **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return plane.send(path, data, {name.replace("_", "-"): text for name, text in headers.items()})


def lines(plane: Plane, body: str, accept: str = "text/csv", media: str = "text/csv") -> Answer:
    return plane.send(INVOKE, body.encode(), {"Content-Type": media, "Accept": accept})


@pytest.mark.parametrize(
    "body",
    [
        [{"a": 1, "b": 2, "c": 3}, {"a": 4, "b": 5, "c": 6}],
        {"instances": [[1, 2, 3], [4, 5, 6]]},
        {"instances": [{"a": 1, "b": 2, "c": 3}, {"c": 6, "b": 5, "a": 4}]},
        {"columns": ["c", "a", "b"], "data": [[3, 1, 2], [6, 4, 5]]},
        b"1,2,3\n4,5,6",
        b"\xef\xbb\xbfc,b,a,more\r\n3,2,1,x\r\n6,5,4,y\r\n",
        b'"1"," 2",3e0\r\n4,5.0,+6\r\n\r\n',
    ],
    ids=str,
)
def test_the_same_rows_in_every_form(one: Plane, body: object) -> None:
    answer = invoke(one, body, Accept="application/json")
    assert answer.json == {"predictions": [{"y": [2, 4, 6]}, {"y": [8, 10, 12]}]}
    assert (
        invoke(one, body, path="/invocations", Accept="text/csv").body
        == b"2.0,4.0,6.0\n8.0,10.0,12.0\n"
    )


def test_an_answer_comes_in_the_form_that_was_sent(one: Plane) -> None:
    for accept in ({}, {"Accept": "*/*"}):
        sent = invoke(one, b"1,2,3", **accept)
        assert sent.headers["Content-Type"] == "text/csv"
        assert invoke(one, [{"a": 1, "b": 2, "c": 3}], **accept).json["predictions"]
    headed = lines(one, "1,2,3", "text/csv; header=present")
    assert headed.body == b"y.0,y.1,y.2\n2.0,4.0,6.0\n"


def test_a_header_is_what_the_media_type_says(texts: Plane) -> None:
    assert lines(texts, "x\na").body == b"a\n", "it looks like one"
    assert lines(texts, "x\na", media="text/csv; header=absent").body == b"x\na\n"
    missing = lines(texts, "z\na", media="text/csv; header=present")
    assert (missing.status, missing.json["reason"]) == (400, "MissingColumn")


@given(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_characters="\r"), min_size=1, max_size=6
        ).filter(lambda text: text != "x"),
        min_size=1,
        max_size=5,
    )
)
def test_texts_survive_quotes_commas_and_newlines(texts: Plane, values: list[str]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, quoting=csv.QUOTE_ALL).writerows([value] for value in values)
    answer = lines(texts, out.getvalue())
    assert [row[0] for row in csv.reader(io.StringIO(answer.body.decode(), newline=""))] == values


@given(st.binary(max_size=40) | st.text('1a,"\n\r.-e_', max_size=40).map(str.encode))
def test_no_lines_are_answered_by_a_fault_of_ours(one: Plane, body: bytes) -> None:
    assert one.send(INVOKE, body, CSV).status in (200, 400)


def test_every_type_has_its_cells(tmp_path: Path) -> None:
    for kind, sent, given_back in (
        ("bool", "true\n0\nFalse", "true\nfalse\nfalse\n"),
        ("int64", f"{2**63 - 1}\n-1\n2.0", f"{2**63 - 1}\n-1\n2\n"),
        ("float64", '0.1\n""\nnan\n-inf', '0.1\n""\n""\n""\n'),
    ):
        (tmp_path / kind).mkdir()
        with opened(tmp_path / kind, {"m": graphs.identity(kind)}) as plane:
            assert lines(plane, sent).body.decode() == given_back


def test_keys_may_follow_the_cells_of_the_inputs(tmp_path: Path) -> None:
    steps = [split("a", "b", field="user")]
    with opened(tmp_path, {"a": scaled(1), "b": scaled(-1)}, steps) as plane:
        users = [f"u{number}" for number in range(12)]
        plain = "".join(f"1,{user}\n" for user in users)
        answer = lines(plane, plain)
        wanted = [1.0 if keyed_draw("default/tested/price", u) < 2**63 else -1.0 for u in users]
        assert [float(line) for line in answer.body.split()] == wanted
        assert answer.headers["x-Amzn-Invoked-Production-Variant"] in ("a,b", "b,a")


BAD_LINES = [
    ("", "EmptyBatch", "no lines"),
    ("\n\r\n", "EmptyBatch", "no lines"),
    ("a,b,c", "EmptyBatch", "below the header"),
    ("1,2", "RaggedRows", "2 cells where 3 are due"),
    ("1,2,3\n1,2", "RaggedRows", "row 1"),
    ("1,2,x", "WrongType", "column 'c' is 'x'"),
    ("1,2,1_0", "WrongType", "column 'c' is '1_0'"),
    ("1,2,1e39", "OutOfRange", "column 'c'"),
    ("a,b\n1,2", "MissingColumn", "'c'"),
    ("a,b,c,a\n1,2,3,4", "MalformedBody", "twice"),
    ('1,2,"3', "MalformedBody", "not CSV"),
    ('1,2,"3"4', "MalformedBody", "not CSV"),
    ("," * 3_000_000, "MalformedBody", "cells"),
    ("1" * 3_000_000, "MalformedBody", "not CSV"),
]


@pytest.mark.parametrize(("body", "reason", "said"), BAD_LINES, ids=range(len(BAD_LINES)))
def test_bad_lines_are_refused_in_words(one: Plane, body: str, reason: str, said: str) -> None:
    tracemalloc.start()
    answer = lines(one, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status, answer.json["reason"]) == (400, reason), answer.json
    assert said in answer.json["message"]
    assert answer.headers["x-amzn-ErrorType"] == "ValidationError"
    assert peak < FLAT + 6 * len(body)
    assert lines(one, "1,2,3").status == 200


BAD_JSON = [
    ({"instances": []}, "EmptyBatch"),
    ({"instances": [1]}, "ShapeMismatch"),
    ({"instances": [[1, 2]]}, "RaggedRows"),
    ({"instances": [{"a": 1}]}, "MissingColumn"),
    ({"instances": 1}, "MalformedBody"),
    ({"columns": ["a"]}, "MalformedBody"),
    ({"columns": ["a", "a"], "data": []}, "MalformedBody"),
    ({"columns": ["a", "b", "c"], "data": [[1, 2, 3], [1]]}, "RaggedRows"),
    ({"columns": ["a", "b", "c"], "data": [[1, 2, "x"]]}, "WrongType"),
    ({"columns": ["a", "b", "c"], "data": [1]}, "MalformedBody"),
    ({"columns": ["a", "b", "d"], "data": [[1, 2, 3]]}, "MissingColumn"),
    ({"columns": ["a", "b", "c"], "data": []}, "EmptyBatch"),
    ({}, "MalformedBody"),
    (b"{", "MalformedBody"),
]


@pytest.mark.parametrize(("body", "reason"), BAD_JSON, ids=range(len(BAD_JSON)))
def test_bad_json_is_refused(one: Plane, body: object, reason: str) -> None:
    answer = invoke(one, body)
    assert (answer.status, answer.json["reason"]) == (400, reason), answer.json


def test_a_long_name_of_a_column_that_nobody_needs_is_not_repeated_for_every_row(
    one: Plane,
) -> None:
    body = {"columns": ["a", "b", "c", "d" * 100_000], "data": [[1, 2, 3, 4]] * 2000}
    tracemalloc.start()
    answer = invoke(one, body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (answer.status, len(answer.json["predictions"])) == (200, 2000)
    assert peak < 20_000_000  # the name 2,000 times would be 200 MB


def test_instances_without_names_need_a_single_input(tmp_path: Path) -> None:
    with opened(tmp_path, {"m": graphs.several_inputs()}) as plane:
        answer = invoke(plane, {"instances": [1]})
        assert (answer.status, answer.json["reason"]) == (400, "MissingColumn")


@pytest.mark.parametrize(
    ("headers", "status", "field"),
    [
        ({"X-Amzn-SageMaker-Target-Variant": "c"}, 400, "TargetVariant"),
        ({"X-Amzn-SageMaker-Target-Model": "m"}, 400, "TargetModel"),
        ({"X-Amzn-SageMaker-Target-Container-Hostname": "m"}, 400, "TargetContainerHostname"),
        ({"X-Amzn-SageMaker-Inference-Component": "m"}, 400, "InferenceComponentName"),
        ({"X-Amzn-SageMaker-Session-Id": "NEW_SESSION"}, 400, "SessionId"),
        ({"X-Amzn-SageMaker-Enable-Explanations": "`true`"}, 400, "EnableExplanations"),
        ({"X-Amzn-SageMaker-Custom-Attributes": "a" * 1025}, 400, "CustomAttributes"),
        ({"X-Amzn-SageMaker-Inference-Id": "a" * 65}, 400, "X-Amzn-SageMaker-Inference-Id"),
        ({"Accept": "image/png"}, 406, "Accept"),
        ({"Content-Type": "image/png"}, 415, "ContentType"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_offered_is_refused(
    one: Plane, headers: dict[str, str], status: int, field: str
) -> None:
    answer = one.send(INVOKE, b"1,2,3", headers)
    assert (answer.status, answer.json["field"]) == (status, field), answer.json
    assert answer.headers["x-amzn-ErrorType"] == "ValidationError"


def test_variants_are_targets_and_attributes_come_back(tmp_path: Path) -> None:
    steps = [split("a", "b", weights=[1, 0])]
    with opened(tmp_path, {"a": scaled(1), "b": scaled(-1)}, steps) as plane:
        headers = {
            "X-Amzn-SageMaker-Target-Variant": "b",
            "X-Amzn-SageMaker-Custom-Attributes": "order=66",
        }
        answer = plane.send(INVOKE, b"3", headers)
        assert answer.body == b"-3.0\n"
        assert answer.headers["x-Amzn-Invoked-Production-Variant"] == "b"
        assert answer.headers["X-Amzn-SageMaker-Custom-Attributes"] == "order=66"
        headers["X-Tiltyard-Variant"] = "price=a"
        assert plane.send(INVOKE, b"3", headers).json["reason"] == "UnknownVariant"


def test_a_retry_draws_as_the_first_attempt_did(tmp_path: Path) -> None:
    steps = [split("a", "b")]
    with opened(tmp_path, {"a": scaled(1), "b": scaled(-1)}, steps) as plane:
        for number in range(12):
            retried = {"amz-sdk-invocation-id": f"call-{number}"}
            found = [plane.send(INVOKE, b"1", retried).body for _ in range(3)]
            assert len(set(found)) == 1
            ours = {"X-Tiltyard-Inference-Id": "first"} | retried
            theirs = {"X-Amzn-SageMaker-Inference-Id": "first"} | retried
            assert plane.send(INVOKE, b"1", ours).body == plane.send(INVOKE, b"1", theirs).body


def test_a_model_that_is_late_is_a_model_error(tmp_path: Path) -> None:
    entries: dict[str, dict[str, Any]] = {"m": {"timeout": "50ms"}}
    with opened(tmp_path, {"m": slow(2**40)}, entries=entries) as plane:
        answer = plane.send(INVOKE, str(np.float32(2e6)).encode())
        assert (answer.status, answer.json["reason"]) == (424, "ModelTimeout")
        assert answer.json["OriginalStatusCode"] == 504
        assert answer.headers["x-amzn-ErrorType"] == "ModelError"


@pytest.mark.parametrize(
    ("path", "method", "status", "reason"),
    [
        ("/endpoints/nobody/invocations", "POST", 400, "UnknownPipeline"),
        ("/endpoints/tested/async-invocations", "POST", 404, "UnknownPath"),
        ("/endpoints/tested/invocations-response-stream", "POST", 404, "UnknownPath"),
        ("/endpoints/tested/invocations", "GET", 405, "MethodNotAllowed"),
    ],
)
def test_stray_paths(one: Plane, path: str, method: str, status: int, reason: str) -> None:
    answer = one.send(path, method=method)
    assert (answer.status, answer.json["reason"]) == (status, reason)
    assert answer.headers["x-amzn-ErrorType"] == "ValidationError"
    assert answer.json["message"]
