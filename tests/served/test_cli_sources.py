"""`tiltyard serve` with models from elsewhere: the same program as in a cluster fetches them."""

import hashlib
import os
import pty
import subprocess
from pathlib import Path

import pytest

import archives
import givers
from engines import TILTYARD, serving
from givers import answer, giving
from makers import Document
from manifests import MODELS, bike_document, bike_model, bike_record, write
from object_stores import s3_server, secret_folder
from programs import tiltyard

pytestmark = pytest.mark.served

MODEL = (MODELS / "bike-gb.onnx").read_bytes()
DIGEST = hashlib.sha256(MODEL).hexdigest()


def with_source(folder: Path, uri: str, **source: str) -> Path:
    """Write a Pipeline that serves one bike model from a source."""
    document: Document = bike_document()
    model = bike_model("gb", uri)
    model["source"] |= source
    document["spec"]["models"] = [model]
    document["spec"]["steps"] = [{"name": "demand", "model": "gb"}]
    return write(folder / "p.yaml", document)


def test_models_come_from_volumes_webs_and_stores(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "m.onnx").write_bytes(MODEL)
    with s3_server() as s3, giving() as giver:
        s3.client().create_bucket(Bucket="models")
        s3.client().put_object(Bucket="models", Key="m.onnx", Body=MODEL)
        giver.routes["/m.onnx"] = answer(200, MODEL)
        keys = secret_folder(tmp_path / "keys", s3.variables())
        places = {
            "pvc://models/m.onnx": {},
            f"{giver.url}/m.onnx": {},
            "s3://models/m.onnx": {"secretName": "store"},
        }
        for number, (uri, source) in enumerate(places.items()):
            manifest = with_source(tmp_path, uri, **source)
            flags = ("--pvc", f"models={volume}", "--secret", f"store={keys}")
            with serving(manifest, *flags, cache=tmp_path / f"cache{number}") as served:
                (model,) = served.status()["pipelines"][0]["models"]
                assert model["digest"] == DIGEST
                assert served.infer([bike_record()])


def test_a_zip_of_a_graph_is_served(tmp_path: Path) -> None:
    data = archives.packed({"model.onnx": MODEL, "README.md": b"what it is"})
    (tmp_path / "m.zip").write_bytes(data)
    with serving(with_source(tmp_path, "file:m.zip"), cache=tmp_path / "cache") as served:
        (model,) = served.status()["pipelines"][0]["models"]
        assert model["digest"] == hashlib.sha256(data).hexdigest()
        assert served.infer([bike_record()])


def test_what_is_pinned_and_known_is_served_without_its_server(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    with giving({"/m.onnx": answer(200, MODEL)}) as giver:
        manifest = with_source(tmp_path, f"{giver.url}/m.onnx", sha256=DIGEST)
        with serving(manifest, cache=cache) as served:
            assert served.infer([bike_record()])
    with serving(manifest, cache=cache) as served:
        assert served.infer([bike_record()])


@pytest.mark.parametrize(
    ("flags", "uri", "words"),
    [
        ((), "pvc://models/m.onnx", "the volume 'models' is not mounted at "),
        ((), "http://127.0.0.1:9/m.onnx", "cannot be read: Connection refused"),
    ],
)
def test_what_cannot_be_had_is_one_line(
    tmp_path: Path, flags: tuple[str, ...], uri: str, words: str
) -> None:
    manifest = with_source(tmp_path, uri)
    run = tiltyard("serve", manifest, "--port", 0, *flags, cache=tmp_path)
    assert (run.returncode, run.stdout) == (1, "")
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"{manifest}: spec.models[0].source: model 'gb': {uri}")
    assert words in line


def test_a_folder_that_is_not_there_is_a_wrong_call(tmp_path: Path) -> None:
    run = tiltyard("serve", with_source(tmp_path, "file:m"), "--pvc", "models=/nowhere")
    assert run.returncode == 2
    assert "'models=/nowhere' is not NAME=FOLDER with a folder that exists" in run.stderr


def test_a_terminal_sees_how_far_a_fetch_is(tmp_path: Path) -> None:
    size = 8 << 20
    with giving({"/m.onnx": givers.slowly(0.3, givers.sized(size))}) as giver:
        manifest = with_source(tmp_path, f"{giver.url}/m.onnx")
        terminal, inside = pty.openpty()
        process = subprocess.Popen(
            [TILTYARD, "serve", str(manifest), "--port", "0", "--management-port", "0"],
            stderr=inside,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"TILTYARD_CACHE": str(tmp_path), "TERM": "xterm", "COLUMNS": "120"},
        )
        os.close(inside)
        seen = b""
        while process.poll() is None or b"is not an ONNX model" not in seen:
            try:
                seen += os.read(terminal, 65536)
            except OSError:  # nobody holds the other end any more
                break
        os.close(terminal)
        assert process.wait(30) == 1
    text = seen.decode(errors="replace")
    assert f"{giver.url}/m.onnx" in text
    assert "8.4/8.4 MB" in text
    assert "is not an ONNX model" in text
