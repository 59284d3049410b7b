"""A format that nothing of ours knows is served by its codec and one entry: the seam is whole."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from planes import opened, shadow, split
from served_models import TROUBLE, failing, scaled
from tables import FILE, packed, unpacked
from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_core.draws import keyed_draw
from tiltyard_engine.call import Call
from tiltyard_engine.codecs.base import Sent, Taken, Values
from tiltyard_engine.codecs.formats import FORMATS, Format
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.errors import Refusal
from tiltyard_engine.sizes import Sizes

MEDIA = "text/x-pairs"
PAIRS = {"Content-Type": MEDIA, "Accept": MEDIA}


class Lines:
    """The request's own lines."""

    def __init__(self, lines: list[list[str]]) -> None:
        self.lines = lines

    def columns(self) -> Mapping[str, Values]:
        """Both columns, for answers in other formats."""
        users, numbers = zip(*self.lines, strict=True)
        return {"user": list(users), "x": np.array(numbers, np.float32)}


class PairsCodec:
    """Lines of a user and a number; of Pipelines that take `x` and give `y`."""

    header = f"Content-Type: {MEDIA}\r\n".encode()

    def __init__(self, plan: Plan, _partition: str, _sizes: Sizes) -> None:
        self._last = plan.steps[-1].name

    def read(self, body: bytes) -> Taken:
        """Decode lines."""
        lines = [line.split() for line in body.decode().splitlines()]
        if any(len(line) != 2 for line in lines):
            raise Refusal(Reason.MALFORMED_BODY, "a line is no pair: write USER NUMBER")
        xs = np.array([[number] for _, number in lines], np.float32)
        return Taken(len(lines), {"x": xs}, {"user": [user for user, _ in lines]}, Lines(lines))

    def write(self, call: Call, sent: Sent, now: int, chosen: Selection) -> bytes:  # noqa: ARG002 - not all is used
        """Encode lines: each user, what became of the number, and challengers' answers."""
        beside = [
            columns["y"] if columns else ["-"] * call.rows
            for models in call.beside.values()
            for columns in models.values()
        ]
        columns = [sent.columns()["user"], call.outputs[self._last]["y"], *beside]
        rows = zip(*columns, strict=True)
        return "\n".join(" ".join(map(_cell, row)) for row in rows).encode()


def _cell(value: object) -> str:
    return str(value.item() if isinstance(value, np.ndarray) else value)


WITH_PAIRS = (*FORMATS, Format(MEDIA, PairsCodec))
TWO = {"a": scaled(1), "b": scaled(-1)}


def test_it_goes_through_splits_by_key_and_pins(tmp_path: Path) -> None:
    users = [f"rider-{number}" for number in range(12)]
    steps = [split("a", "b", field="user")]
    with opened(tmp_path, TWO, steps, formats=WITH_PAIRS) as plane:
        body = "\n".join(f"{user} 2" for user in users).encode()
        answer = plane.send("/pipelines/tested", body, PAIRS)
        assert (answer.status, answer.headers["Content-Type"]) == (200, MEDIA)
        signs = [1 if keyed_draw("default/tested/price", user) < 2**63 else -1 for user in users]
        assert answer.body.decode().splitlines() == [
            f"{user} {2.0 * sign}" for user, sign in zip(users, signs, strict=True)
        ]
        pinned = plane.send("/infer", body, PAIRS | {"X-Tiltyard-Variant": "price=b"})
        assert set(pinned.body.split()[1::2]) == {b"-2.0"}
        assert plane.count("tiltyard_requests_total", "records", "200") == 2
        assert plane.count("tiltyard_pinned_requests_total", "price") == 1


@pytest.mark.parametrize(("given", "said"), [("1", "10.0"), (str(TROUBLE), "-")])
def test_challengers_answer_in_it(tmp_path: Path, given: str, said: str) -> None:
    models = {"a": scaled(1), "other": failing(10)}
    steps = [shadow("a", "other", outputs="respond", budget="20s", timeout="20s")]
    with opened(tmp_path, models, steps, formats=WITH_PAIRS) as plane:
        answer = plane.send("/infer", f"ann {given}".encode(), PAIRS)
        assert answer.body.decode() == f"ann {float(given)} {said}"


def test_it_is_taken_and_given_beside_the_others(tmp_path: Path) -> None:
    with opened(tmp_path, TWO, [split("a", "b", weights=[1, 0])], formats=WITH_PAIRS) as plane:
        as_json = plane.send("/infer", b"ann 2\nbob 3", {"Content-Type": MEDIA})
        assert as_json.out() == [[2.0], [3.0]]
        assert [row["in"] for row in as_json.json] == [
            {"user": "ann", "x": 2.0},
            {"user": "bob", "x": 3.0},
        ]
        table = plane.send("/infer", b"ann 2", {"Content-Type": MEDIA, "Accept": FILE}).body
        assert unpacked(table).column("in").to_pylist() == [{"user": "ann", "x": 2.0}]
        for body, media in (
            (b'[{"user": "ann", "x": 2}]', "application/json"),
            (packed({"user": ["ann"], "x": [2.0]}), FILE),
        ):
            answer = plane.send("/infer", body, {"Content-Type": media, "Accept": MEDIA})
            assert answer.body == b"ann 2.0"


def test_its_refusals_are_those_of_the_path_and_the_documents_name_it(tmp_path: Path) -> None:
    with opened(tmp_path, TWO, [split("a", "b")], formats=WITH_PAIRS) as plane:
        refused = plane.send("/infer", b"ann", PAIRS)
        assert (refused.status, refused.json["reason"]) == (400, "MalformedBody")
        unknown = plane.send("/infer", b"ann", {"Content-Type": "text/unheard-of"})
        assert MEDIA in unknown.json["error"]
        document = plane.send("/openapi.json", method="GET").json
        assert MEDIA in document["paths"]["/infer"]["post"]["requestBody"]["content"]
    with opened(tmp_path, TWO, [split("a", "b")]) as plane:
        assert plane.send("/infer", b"ann 2", PAIRS).status == 415
