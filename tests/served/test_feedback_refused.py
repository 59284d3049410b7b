"""Feedback that cannot be credited, over a socket: each reason, and the next piece is taken."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import urllib3

from engines import Served, serving
from manifests import bike_document, bike_record, write
from tiltyard_api.names import local_uid
from tiltyard_api.reasons import STATUS_OF, Reason
from tiltyard_core.tokens import Signer, key_of, pipeline_tag, read

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
        answer = urllib3.request("POST", f"{self.served.url}/feedback", json=sent, timeout=30)
        return answer.status, answer.json().get("reason", "")

    def id(self) -> str:
        """Ask once; gives the id of the answer."""
        (row,) = self.served.infer([bike_record(rider="rider-1")])
        return str(row["metadata"]["inference_id"])

    def id_of(self, seconds: int) -> str:
        """Sign an id that is so much older, with the key that follows from the uid."""
        uid = local_uid("default", self.name)
        signer = Signer(key_of(uid))
        token = read(self.id(), {pipeline_tag(uid): [signer]})
        return signer.sign(token._replace(time=int(time.time()) - seconds))

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
    document["spec"]["experiment"] = {"metrics": [{"name": "kept", "kind": "binary"}]}
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
