import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import graphs
from tiltyard_api.v1alpha1.models import Source
from tiltyard_engine.artifacts import ArtifactError, fetch

CONTENT = b"the bytes of a model"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(CONTENT)
    (tmp_path / "with space#1.onnx").write_bytes(CONTENT)
    (tmp_path / "link.onnx").symlink_to("model.onnx")
    (tmp_path / "broken.onnx").symlink_to("nowhere")
    (tmp_path / "folder.onnx").mkdir()
    os.mkfifo(tmp_path / "pipe.onnx")
    return tmp_path


@pytest.mark.parametrize(
    "uri",
    ["file:model.onnx", "file:./model.onnx", "file:with%20space%231.onnx", "file:link.onnx"],
)
def test_an_artifact_is_copied_under_the_name_of_its_bytes(folder: Path, uri: str) -> None:
    store = folder / "deep" / "store"
    path = fetch(Source(uri=uri, sha256=DIGEST), folder, store)
    assert path == store / DIGEST
    assert path.read_bytes() == CONTENT
    assert not path.is_symlink()
    assert list(store.iterdir()) == [path]


@pytest.mark.parametrize("host", ["", "localhost"])
def test_absolute_paths_may_be_written_as_uris(folder: Path, host: str) -> None:
    source = Source(uri=f"file://{host}{folder}/model.onnx")
    assert fetch(source, Path("elsewhere"), folder / "store").name == DIGEST


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"uri": "file:nothing.onnx"}, "No such file or directory"),
        ({"uri": "file:broken.onnx"}, "No such file or directory"),
        ({"uri": "file:model.onnx/deeper"}, "Not a directory"),
        ({"uri": "file:folder.onnx"}, "Is a directory"),
        ({"uri": "file:pipe.onnx"}, "not a regular file"),
        ({"uri": "file:%00.onnx"}, "null byte"),
        ({"uri": f"file:{'a' * 300}"}, "File name too long"),
        ({"uri": "file:model.onnx", "sha256": "0" * 64}, "correct sha256 or restore the file"),
        ({"uri": "file://host/model.onnx"}, "names a host: write file:PATH or file:///PATH"),
        ({"uri": "file:with space#1.onnx"}, "# as %23"),
        ({"uri": "s3://bucket/model.onnx"}, "s3: is not a source of this version: use file:PATH"),
        ({"uri": "model.onnx"}, "a path without a scheme is not a source"),
        ({"uri": "file://[bad/model.onnx"}, "is no URI"),
    ],
    ids=lambda value: value["uri"][:24] if isinstance(value, dict) else "",
)
def test_what_cannot_be_had_is_said_with_its_uri(
    folder: Path, source: dict[str, str], words: str
) -> None:
    store = folder / "store"
    with pytest.raises(ArtifactError) as caught:
        fetch(Source.model_construct(**{"sha256": None, **source}), folder, store)
    assert words in str(caught.value)
    assert source["uri"] in str(caught.value)
    assert not store.exists() or list(store.iterdir()) == []


FETCHER = """
import sys
from pathlib import Path
from tiltyard_api.v1alpha1.models import Source
from tiltyard_engine.artifacts import fetch
folder = Path(sys.argv[1])
sys.stdin.read()
for _ in range(50):
    print(fetch(Source(uri="file:large.onnx"), folder, folder / "store").read_bytes()[-1:])
"""


def test_processes_may_fetch_the_same_artifact_at_once(folder: Path) -> None:
    (folder / "large.onnx").write_bytes(b"x" * 500_000 + b"!")
    command = [sys.executable, "-c", FETCHER, str(folder)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    fetchers = [subprocess.Popen(command, **pipes) for _ in range(3)]
    for one in fetchers:
        one.stdin.close()  # type: ignore[union-attr]  # a pipe
        one.stdin = None
    for one in fetchers:
        output, _ = one.communicate(timeout=60)
        assert output.split() == ["b'!'"] * 50
    assert len(list((folder / "store").iterdir())) == 1


def resolved(folder: Path, *files: str) -> list[dict[str, Any]]:
    models = [
        {
            "folder": str(folder),
            "entry": {"name": f"m{n}", "framework": "onnx", "source": {"uri": f"file:{name}"}},
        }
        for n, name in enumerate(files)
    ]
    request = {"store": str(folder / "store"), "models": models}
    command = [sys.executable, "-m", "tiltyard_engine.resolve"]
    done = subprocess.run(
        command, input=json.dumps(request), capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(done.stdout)["models"]
    return found


def test_the_resolver_tells_facts_or_one_clear_sentence_for_each_model(tmp_path: Path) -> None:
    linear = graphs.linear()
    hostile = graphs.model(
        [graphs.node("NoSuchOperator", "x", "y")],
        [graphs.value("x", "float32", ["N"])],
        [graphs.value("y", "float32", ["N"])],
    )
    cases = {
        "good.onnx": (linear, None),
        "cut.onnx": (linear[: len(linear) // 2], "is not an ONNX model: it is cut short"),
        "text.onnx": (b"hello", "is not an ONNX model"),
        "empty.onnx": (b"", "is not an ONNX model: it holds no graph"),
        "outside.onnx": (graphs.external("../../etc/passwd"), "weights outside itself (../../etc"),
        "sparse.onnx": (graphs.external("/etc/passwd", sparse=True), "save it as one file"),
        "hostile.onnx": (hostile, "cannot be loaded"),
        "maps.onnx": (graphs.maps(), None),
    }
    for name, (data, _) in cases.items():
        (tmp_path / name).write_bytes(data)
    found = resolved(tmp_path, *cases, "missing.onnx")
    for (name, (data, words)), one in zip(cases.items(), found, strict=False):
        fault = one.get("fault")
        if words is None:
            assert fault is None
            assert one["resolved"]["digest"] == hashlib.sha256(data).hexdigest()
            assert one["resolved"]["size"] == len(data)
        else:
            assert one.get("resolved") is None
            assert words in fault
            assert fault.startswith(f"file:{name} ")
            assert "\n" not in fault
            assert str(tmp_path) not in fault
    assert "No such file" in found[-1]["fault"]
    assert found[0]["resolved"]["inputs"] == [{"name": "x", "type": "float32", "shape": [-1, 4]}]
    assert "tensor(float)" in found[-2]["resolved"]["outputs"][0]["type"]
