"""The Secret that signs inference ids, on a laptop: a folder stands in for it."""

from pathlib import Path

import pytest
import urllib3

from engines import Served, serving
from makers import Document
from manifests import bike_document, bike_record, write
from programs import tiltyard
from tiltyard_api.names import local_uid
from tiltyard_core.tokens import Signer, key_of, pipeline_tag, read

pytestmark = pytest.mark.served

SIGNED, PLAIN = "signed", "plain"


def document(name: str, **experiment: str) -> Document:
    """Give a Pipeline with an experiment."""
    made = bike_document((1, 1), name=name, key="rider")
    made["spec"]["experiment"] = {"metrics": [{"name": "kept", "kind": "binary"}], **experiment}
    return made


def signer(pipeline: str, secret: bytes = b"") -> Signer:
    """What signs the ids of a Pipeline that is served here."""
    return Signer(key_of(local_uid("default", pipeline), secret))


def told(served: Served, name: str) -> tuple[int, str]:
    """Send feedback on an id; gives the status and the reason."""
    sent = {"inferenceId": name, "metric": "kept", "value": 1}
    answer = urllib3.request("POST", f"{served.url}/feedback", json=sent, timeout=30)
    return answer.status, answer.json().get("reason", "")


def id_of(served: Served, pipeline: str) -> str:
    """Ask once; gives the id of the answer."""
    (row,) = served.infer([bike_record(rider="rider-1")], pipeline)
    return str(row["metadata"]["inference_id"])


def signed_by(other: Signer, served: Served) -> str:
    """Ask once, and let somebody else sign the id."""
    tag = pipeline_tag(local_uid("default", SIGNED))
    return other.sign(read(id_of(served, SIGNED), {tag: [signer(SIGNED, b"new")]}))


def test_ids_are_signed_by_the_folder_of_their_own_pipeline(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.mkdir()
    (keys / "current").write_bytes(b"new")
    (keys / "previous").write_bytes(b"old")
    manifest = write(tmp_path / "p.yaml", document(SIGNED, idSecretName="ids"), document(PLAIN))
    with serving(manifest, "--secret", f"ids={keys}", cache=tmp_path / "cache") as served:
        for pipeline in (SIGNED, PLAIN):
            assert told(served, id_of(served, pipeline)) == (202, "")
        assert told(served, signed_by(signer(SIGNED, b"old"), served)) == (202, "")
        assert told(served, signed_by(signer(SIGNED), served)) == (401, "WrongToken")


def test_a_secret_that_nobody_named_is_asked_for(tmp_path: Path) -> None:
    manifest = write(tmp_path / "p.yaml", document(SIGNED, idSecretName="ids"))
    refused = tiltyard("serve", str(manifest), "--port", "0", "--management-port", "0")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1] == (
        f"{manifest}: spec.experiment.idSecretName: the Secret 'ids' is not here: name a folder"
        " that holds its key, a file 'current', by --secret ids=FOLDER, or remove idSecretName"
    )
