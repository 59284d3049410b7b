"""The same model through every kind of source, from real servers: always the same version."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

import graphs
from built import go_program
from cloud_stores import blob_storage, cloud_storage
from fetchers import LOCAL, entry, trial
from givers import answer, giving
from object_stores import free_port, program, s3_server, secret_folder
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_core.signature import plan_model
from tiltyard_engine.resolve import facts
from tiltyard_engine.sources.base import Access

MODEL = graphs.linear()
DIGEST = hashlib.sha256(MODEL).hexdigest()

Place = tuple[str, dict[str, str], str | None]
"""A uri, the keys of its Secret, and what its immutable address starts with."""

PASSWORDS = "user:$2b$04$e/kAWbPqyZHOzophphaRjOAZB8E9ZyfrRBM8uny1jeLGT7.sB98qK\n"
"""Of the user `user`, whose password is `word`."""


@contextmanager
def file(folder: Path) -> Iterator[Place]:
    (folder / "m.onnx").write_bytes(MODEL)
    yield f"file://{folder}/m.onnx", {}, None


@contextmanager
def claim(folder: Path) -> Iterator[Place]:
    (folder / "m.onnx").write_bytes(MODEL)
    yield "pvc://models/m.onnx", {}, None


@contextmanager
def web(_: Path) -> Iterator[Place]:
    with giving({"/m.onnx": answer(200, MODEL)}) as giver:
        yield f"{giver.url}/m.onnx", {}, None


@contextmanager
def s3(_: Path) -> Iterator[Place]:
    with s3_server() as server:
        client = server.client()
        client.create_bucket(Bucket="models")
        client.put_bucket_versioning(Bucket="models", VersioningConfiguration={"Status": "Enabled"})
        made = client.put_object(Bucket="models", Key="m.onnx", Body=MODEL)
        address = f"s3://models/m.onnx?versionId={made['VersionId']}"
        yield "s3://models/m.onnx", server.variables(), address


@contextmanager
def gs(folder: Path) -> Iterator[Place]:
    with cloud_storage(folder, "models", {"m.onnx": MODEL}) as keys:
        yield "gs://models/m.onnx", keys, "gs://models/m.onnx?generation="


@contextmanager
def az(folder: Path) -> Iterator[Place]:
    with blob_storage(folder, "models", {"m.onnx": MODEL}) as keys:
        yield "az://models/m.onnx", keys, None


@contextmanager
def oci(folder: Path) -> Iterator[Place]:
    server = go_program("github.com/distribution/distribution/v3/cmd/registry", "v3.1.2")
    host = f"127.0.0.1:{free_port()}"
    (folder / "passwords").write_text(PASSWORDS)
    settings = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "blobs")}},
        "http": {"addr": host},
        "auth": {"htpasswd": {"realm": "lab", "path": str(folder / "passwords")}},
    }
    (folder / "registry.yml").write_text(json.dumps(settings))
    auth = base64.b64encode(b"user:word").decode()
    with program(f"http://{host}/v2/", server, "serve", folder / "registry.yml"):
        digest = oci_push(f"http://{host}/v2/lab/models", f"Basic {auth}")
        keys = {".dockerconfigjson": json.dumps({"auths": {host: {"auth": auth}}})}
        yield f"oci://{host}/lab/models:v1", keys, f"oci://{host}/lab/models@{digest}"


def oci_push(url: str, authorization: str) -> str:
    """Push the model as an artifact of one layer; returns the digest of its manifest."""

    def ask(method: str, place: str, body: bytes = b"", kind: str = "") -> str:
        headers = {"Authorization": authorization, "Content-Type": kind}
        with urlopen(Request(place, body, headers, method=method), timeout=20) as said:
            return str(said.headers.get("Location", ""))

    described = []
    for data, kind in ((b"{}", "application/vnd.oci.empty.v1+json"), (MODEL, "application/x-onnx")):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = ask("POST", f"{url}/blobs/uploads/")
        ask("PUT", f"{place}&digest={digest}", data, "application/octet-stream")
        described.append({"mediaType": kind, "digest": digest, "size": len(data)})
    kind = "application/vnd.oci.image.manifest.v1+json"
    config, layer = described
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}
    data = json.dumps(manifest).encode()
    ask("PUT", f"{url}/manifests/v1", data, kind)
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def expected_version(folder: Path) -> str:
    """Version of the very file, looked at where it is made."""
    (folder / "itself.onnx").write_bytes(MODEL)
    model = ModelEntry.model_validate(entry("file:itself.onnx"))
    return plan_model(model, facts(model, Access(folder=folder), folder / "store")).version


FAMILIES = [file, claim, web, s3]
BUILT = [gs, az, oci]
"""Servers that take minutes to build once."""


@pytest.mark.parametrize(
    "family",
    [*FAMILIES, *(pytest.param(one, marks=pytest.mark.full) for one in BUILT)],
    ids=lambda family: family.__name__,
)
@pytest.mark.timeout(1200)
def test_the_same_model_has_the_same_version_wherever_it_lies(
    tmp_path: Path, family: Callable[[Path], Iterator[Place]]
) -> None:
    (tmp_path / "place").mkdir()
    with family(tmp_path / "place") as (uri, keys, address):
        secret = secret_folder(tmp_path / "secret", keys)
        named = {"secretName": "mine"} if keys else {}
        flags = ("--secret", f"mine={secret}", "--pvc", f"models={tmp_path / 'place'}", *LOCAL)
        model = entry(uri, **named)
        found, _ = trial(model, tmp_path, *flags)
        assert found.resolved, found.fault
        assert found.resolved.digest == DIGEST
        version = plan_model(ModelEntry.model_validate(model), found.resolved).version
        assert version == expected_version(tmp_path)
        assert (found.address or "").startswith(address or "")
        if found.address:
            again, _ = trial(entry(found.address, **named), tmp_path, *flags)
            assert (again.resolved, again.address) == (found.resolved, found.address)
        if uri.startswith(("s3:", "gs:", "az:", "oci:")):
            missing = uri.replace("m.onnx", "gone.onnx").replace(":v1", ":gone")
            nothing, _ = trial(entry(missing, **named), tmp_path, *flags)
            assert nothing.reason is Reason.SOURCE_NOT_FOUND, nothing.fault
        if family in (az, oci):
            denied, _ = trial(entry(uri), tmp_path, *flags, HOME=str(tmp_path))
            assert denied.resolved is None
