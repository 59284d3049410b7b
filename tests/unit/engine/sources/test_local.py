"""Artifacts of this machine and of volumes."""

import hashlib
import os
from pathlib import Path

import pytest

from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.base import Access, ArtifactError

CONTENT = b"the bytes of a model"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep").mkdir()
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
    found = fetch(uri, DIGEST, Access(folder=folder), store)
    assert (found.path, found.size, found.address) == (store / DIGEST, len(CONTENT), None)
    assert found.path.read_bytes() == CONTENT
    assert not found.path.is_symlink()
    assert list(store.iterdir()) == [found.path]


@pytest.mark.parametrize("host", ["", "localhost"])
def test_absolute_paths_may_be_written_as_uris(folder: Path, host: str) -> None:
    uri = f"file://{host}{folder}/model.onnx"
    assert fetch(uri, None, Access(folder=Path("elsewhere")), folder / "store").digest == DIGEST


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        ("file:nothing.onnx", Reason.SOURCE_NOT_FOUND, "No such file or directory"),
        ("file:broken.onnx", Reason.SOURCE_NOT_FOUND, "No such file or directory"),
        ("file:model.onnx/deeper", Reason.SOURCE_NOT_FOUND, "Not a directory"),
        ("file:folder.onnx", Reason.SOURCE_UNSUPPORTED, "Is a directory"),
        ("file:pipe.onnx", Reason.SOURCE_UNSUPPORTED, "not a regular file"),
        ("file:%00.onnx", Reason.SOURCE_UNSUPPORTED, "null byte"),
        (f"file:{'a' * 300}", Reason.SOURCE_NOT_FOUND, "File name too long"),
        ("file://host/model.onnx", Reason.SOURCE_UNSUPPORTED, "write file:PATH or file:///PATH"),
        ("file:with space#1.onnx", Reason.SOURCE_UNSUPPORTED, "# as %23"),
        ("ftp://host/model.onnx", Reason.SOURCE_UNSUPPORTED, "ftp: is not a source: use file:"),
        ("model.onnx", Reason.SOURCE_UNSUPPORTED, "a path without a scheme is not a source"),
        ("file://[bad/model.onnx", Reason.SOURCE_UNSUPPORTED, "is no URI"),
        ("pvc://models/nothing.onnx", Reason.SOURCE_NOT_FOUND, "No such file or directory"),
        ("pvc://models/../out.onnx", Reason.ACCESS_DENIED, "leads out of its volume"),
        ("pvc://models/%2e%2e/out.onnx", Reason.ACCESS_DENIED, "leads out of its volume"),
        ("pvc://models/out.onnx", Reason.ACCESS_DENIED, "leads out of its volume"),
        ("pvc://models/out/passwd", Reason.ACCESS_DENIED, "leads out of its volume"),
        ("pvc://models", Reason.SOURCE_UNSUPPORTED, "Is a directory"),
        ("pvc://other/a", Reason.SOURCE_NOT_FOUND, "'other' is not mounted at "),
        ("pvc:///a", Reason.SOURCE_NOT_FOUND, "is not mounted"),
    ],
)
def test_what_cannot_be_had_is_said_with_its_uri(
    folder: Path, uri: str, reason: Reason, words: str
) -> None:
    (folder / "deep" / "out.onnx").symlink_to(folder / "model.onnx")
    (folder / "deep" / "out").symlink_to("/etc")
    access = Access(folder=folder, claims={"models": folder / "deep"})
    with pytest.raises(ArtifactError) as caught:
        fetch(uri, None, access, folder / "store")
    assert caught.value.reason is reason
    assert words in str(caught.value)
    assert uri in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list((folder / "store").iterdir()) == []


def test_volumes_that_kubernetes_lays_out_by_links_are_read(tmp_path: Path) -> None:
    """A ConfigMap or Secret of Kubernetes is a folder of links to a folder that is replaced."""
    (tmp_path / "..2026_11_21").mkdir()
    (tmp_path / "..2026_11_21" / "model.onnx").write_bytes(CONTENT)
    (tmp_path / "..data").symlink_to("..2026_11_21")
    (tmp_path / "model.onnx").symlink_to("..data/model.onnx")
    access = Access(claims={"models": tmp_path})
    found = fetch("pvc://models/model.onnx", DIGEST, access, tmp_path / "store")
    assert found.digest == DIGEST
