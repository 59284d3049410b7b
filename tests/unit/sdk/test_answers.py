"""What people see of answers, refusals and traffic."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from tiltyard.failure import Failure
from tiltyard.infer import as_records
from tiltyard.tables import answer_table, shortened
from tiltyard.traffic import Outcome, summarise
from tiltyard.transport import Answer, refusal


def row(out: dict[str, Any], variant: str, **more: dict[str, Any]) -> dict[str, Any]:
    metadata = {"variants": {"price": variant}}
    return {"time": 1, "in": {"x": 1}, "out": out, **more, "metadata": metadata}


def printed(rows: list[dict[str, Any]]) -> list[str]:
    console = Console(file=io.StringIO(), width=200)
    console.print(answer_table(rows))
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_a_table_has_the_outputs_and_who_served_them() -> None:
    rows = [row({"y": [1.5], "_model_split": ["{}"]}, "a"), row({"y": [2.5]}, "b")]
    assert printed(rows) == ["row out.y served by", "0 [1.5] price=a", "1 [2.5] price=b"]


def test_challengers_stand_beside_and_markup_is_text() -> None:
    rows = [row({"y": None}, "a", out_b={"y": "[bold]"})]
    assert printed(rows) == ["row out.y out_b.y served by", '0 null "[bold]" price=a']


def test_long_values_are_cut() -> None:
    assert shortened([0.25] * 100).endswith("...")
    assert len(shortened([0.25] * 100)) == 48
    assert shortened("é") == '"é"'


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'[{"x": 1.10}]', b'[{"x": 1.10}]'),
        (b' {"x": 12345678901234567890} ', b'[ {"x": 12345678901234567890} ]'),
        (b"[]", b"[]"),
    ],
)
def test_records_are_sent_as_they_were_written(body: bytes, sent: bytes) -> None:
    assert as_records(body, "f.json") == sent


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "f.json: not JSON: Expecting value: line 1 column 1 (char 0): give a list"),
        (b"\xff", "f.json: not JSON: "),
        (b"[" * 100_000, "f.json: not JSON: "),
        (b"3", "f.json: must be a list of records"),
        (b'"x"', "f.json: must be a list of records"),
    ],
)
def test_what_is_no_record_is_told(body: bytes, said: str) -> None:
    with pytest.raises(Failure) as caught:
        as_records(body, "f.json")
    (line,) = caught.value.lines
    assert line.startswith(said)


def test_a_refusal_names_reason_place_and_status() -> None:
    body = {"reason": "NullValue", "error": "is null: give it", "field": "x", "row": 0}
    answer = Answer(400, {}, json.dumps(body).encode())
    assert refusal(answer).lines == ("NullValue (field x, row 0): is null: give it [HTTP 400]",)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error": "x"}', b"\xff"])
def test_an_answer_of_something_else_is_told(body: bytes) -> None:
    said = "HTTP 502 and no reason: is an engine at this address?"
    assert refusal(Answer(502, {}, body)).lines == (said,)


def test_traffic_is_summed_up_by_variant() -> None:
    outcomes = [Outcome(n, "a" if n < 100 else "b", float(n), {"y": [10.0]}) for n in range(103)]
    first, second = summarise(outcomes, [8.0] * 103, ["a", "b", "never"], "y")
    assert (first.variant, first.requests, first.mean_absolute_error) == ("a", 100, 2.0)
    assert (first.p50_ms, first.p99_ms) == (49.5, 99.0)
    assert (second.requests, second.p99_ms) == (3, 102.0)
