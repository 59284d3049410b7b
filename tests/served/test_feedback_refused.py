"""Feedback that cannot be credited, over a socket: each reason, and the next piece is taken."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import urllib3
from prometheus_client.parser import text_string_to_metric_families

from engines import Served, serving
from ledgers import Cells, counted
from manifests import bike_document, bike_record, write
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.names import local_uid
from tiltyard_api.reasons import STATUS_OF, Reason
from tiltyard_core.tokens import Signer, Token, key_of, pipeline_tag, read

pytestmark = pytest.mark.served

DAY = 86_400


@dataclass(frozen=True)
class Engine:
    """An engine with an experiment, and what signs its ids."""

    served: Served
    name: str

    def post(self, metric: str, name: str, value: object = 1, **more: int) -> tuple[int, str]:
        """Send one piece; gives the status and the reason."""
        sent = {"inferenceId": name, "metric": metric, "value": value, **more}
        status, said = self.send(json.dumps(sent).encode())
        return status, said.get("reason", "")

    def send(self, body: bytes) -> tuple[int, dict[str, Any]]:
        """Send bytes as they are; gives the status and what was said."""
        answer = urllib3.request("POST", f"{self.served.url}/feedback", body=body, timeout=30)
        return answer.status, answer.json()

    def counts(self) -> dict[tuple[str, str], float]:
        """Count feedback by metric and result, as Prometheus is told."""
        return {
            (one.labels["metric"], one.labels["result"]): one.value
            for family in text_string_to_metric_families(self.served.get("/metrics"))
            if family.name == "tiltyard_feedback"
            for one in family.samples
            if one.labels["pipeline"] in (self.name, "")
        }

    def sums(self) -> Cells:
        """How many values are credited, and their sum, by variant and metric."""
        (one,) = self.served.status()["pipelines"]
        return counted(ExperimentSums.model_validate(one["experiment"]))

    def id(self) -> str:
        """Ask once; gives the id of the answer."""
        (row,) = self.served.infer([bike_record(rider="rider-1")])
        return str(row["metadata"]["inference_id"])

    def id_of(self, seconds: int) -> str:
        """Sign an id that is so much older, with the key that follows from the uid."""
        signer, token = self.read()
        return signer.sign(token._replace(time=int(time.time()) - seconds))

    def id_of_another(self) -> str:
        """Sign an id as another Pipeline does, with its own key."""
        uid = local_uid("default", "another")
        _, token = self.read()
        return Signer(key_of(uid)).sign(token._replace(pipeline=pipeline_tag(uid)))

    def read(self) -> tuple[Signer, Token]:
        """Ask once; gives what signs ids, and what the id of the answer says."""
        uid = local_uid("default", self.name)
        signer = Signer(key_of(uid))
        return signer, read(self.id(), {pipeline_tag(uid): [signer]})

    def id_of_a_batch(self) -> str:
        """Ask for several riders at once; gives the id in the header, which stands for no row."""
        url = f"{self.served.url}/pipelines/{self.name}"
        rows = [bike_record(rider=f"rider-{number}") for number in range(8)]
        return urllib3.request("POST", url, json=rows, timeout=30).headers[
            "X-Tiltyard-Inference-Id"
        ]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("refused")
    document = bike_document((1, 1), key="rider")
    kinds = {"kept": "binary", "visits": "count", "revenue": "value"}
    metrics = [{"name": name, "kind": kind} for name, kind in kinds.items()]
    document["spec"]["experiment"] = {"metrics": metrics}
    manifest = write(folder / "p.yaml", document)
    with serving(manifest, cache=folder / "cache") as served:
        yield Engine(served, document["metadata"]["name"])


def forged(engine: Engine) -> tuple[int, str]:
    """Change one character of an id."""
    name = engine.id()
    return engine.post("kept", name[:30] + ("A" if name[30] != "A" else "B") + name[31:])


def repeated(engine: Engine) -> tuple[int, str]:
    """Say the same twice."""
    name = engine.id()
    assert engine.post("kept", name) == (202, "")
    return engine.post("kept", name)


CASES: dict[Reason, Callable[[Engine], tuple[int, str]]] = {
    Reason.MALFORMED_ID: lambda engine: engine.post("kept", "an-id-of-ours-it-is-not"),
    Reason.WRONG_TOKEN: forged,
    Reason.UNKNOWN_PIPELINE: lambda engine: engine.post("kept", engine.id_of_another()),
    Reason.UNKNOWN_METRIC: lambda engine: engine.post("returned", engine.id()),
    Reason.ROW_NEEDS_OWN_ID: lambda engine: engine.post("kept", engine.id_of_a_batch(), row=2),
    Reason.CLOCK_AHEAD: lambda engine: engine.post("kept", engine.id_of(-DAY)),
    Reason.TOO_OLD: lambda engine: engine.post("kept", engine.id_of(40 * DAY)),
    Reason.DUPLICATE: repeated,
}


@pytest.mark.parametrize("reason", CASES)
def test_feedback_that_cannot_be_credited_is_refused_and_the_next_is_taken(
    engine: Engine, reason: Reason
) -> None:
    assert CASES[reason](engine) == (STATUS_OF[reason], reason)
    assert engine.post("kept", engine.id()) == (202, "")


@pytest.mark.parametrize(
    ("metric", "value", "reason"),
    [
        ("revenue", "NaN", Reason.MALFORMED_BODY),
        ("revenue", "-Infinity", Reason.MALFORMED_BODY),
        ("revenue", "1e400", Reason.MALFORMED_BODY),
        ("revenue", "null", Reason.WRONG_TYPE),
        ("revenue", "1e308", Reason.OUT_OF_RANGE),
        ("revenue", '"420000"', Reason.WRONG_TYPE),
        ("revenue", "[1]", Reason.WRONG_TYPE),
        ("revenue", "true", Reason.WRONG_TYPE),
        ("visits", "-1", Reason.OUT_OF_RANGE),
        ("visits", "1.5", Reason.OUT_OF_RANGE),
        ("visits", "1e308", Reason.OUT_OF_RANGE),
        ("kept", "2", Reason.OUT_OF_RANGE),
        ("kept", '"yes"', Reason.WRONG_TYPE),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_counted_and_credits_nobody(
    engine: Engine, metric: str, value: str, reason: Reason
) -> None:
    before, sums = engine.counts(), engine.sums()
    name = engine.id()
    body = f'{{"inferenceId": "{name}", "metric": "{metric}", "value": {value}}}'.encode()
    status, said = engine.send(body)
    assert (status, said["reason"]) == (STATUS_OF[reason], reason)
    assert engine.sums() == sums
    if reason is not Reason.MALFORMED_BODY:  # which names no metric that could be counted
        assert engine.counts()[metric, reason] == before[metric, reason] + 1
        listed, told = engine.send(b"[" + body + b"]")
        assert (listed, told["accepted"]) == (202, 0)
        assert told["refused"] == [{"index": 0, "status": status, "reason": reason}]
    assert engine.post(metric, name) == (202, "")


def test_names_of_metrics_that_there_are_not_make_no_series(engine: Engine) -> None:
    before, name = engine.counts(), engine.id()
    made_up = [
        {"inferenceId": name, "metric": f"made-up-{number}" + "x" * number, "value": 1}
        for number in range(1000)
    ]
    status, said = engine.send(json.dumps(made_up).encode())
    assert (status, said["accepted"], len(said["refused"])) == (202, 0, 1000)
    after = engine.counts()
    assert after.keys() == before.keys()
    unknown = ("", Reason.UNKNOWN_METRIC)
    assert after[unknown] == before[unknown] + 1000


def test_a_batch_that_is_sent_again_counts_once(engine: Engine) -> None:
    pieces = [
        {"inferenceId": engine.id(), "metric": metric, "value": 1, "item": item}
        for metric in ("kept", "visits", "revenue")
        for item in range(5)
    ]
    captured = json.dumps(pieces).encode()
    assert engine.send(captured) == (202, {"accepted": len(pieces), "refused": []})
    sums, before = engine.sums(), engine.counts()
    for _ in range(3):
        status, said = engine.send(captured)
        assert (status, said["accepted"]) == (202, 0)
        assert {one["reason"] for one in said["refused"]} == {Reason.DUPLICATE}
    assert engine.sums() == sums
    for metric in ("kept", "visits", "revenue"):
        assert engine.counts()[metric, Reason.DUPLICATE] == before[metric, Reason.DUPLICATE] + 15


def test_more_than_a_list_may_hold_is_refused_whole(engine: Engine) -> None:
    sums, name = engine.sums(), engine.id()
    many = [{"inferenceId": name, "metric": "kept", "value": 1, "item": n} for n in range(10_001)]
    status, said = engine.send(json.dumps(many).encode())
    assert (status, said["reason"]) == (413, Reason.TOO_MANY_ROWS)
    assert engine.sums() == sums
