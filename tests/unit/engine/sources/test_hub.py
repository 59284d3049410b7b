"""Artifacts from a hub that answers as Hugging Face does: a redirect to where the bytes are."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from givers import Giver, answer, giving, redirect
from object_stores import secret_folder
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, ArtifactError

CONTENT = b"the bytes of a model" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "c0ffee" * 6 + "c0de"
ACCESS = Access(addresses=Addresses(EVERYWHERE))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    return tmp_path


def hub(giver: Giver, elsewhere: Giver, revision: str = "main", etag: str = DIGEST) -> None:
    elsewhere.routes["/blob"] = answer(200, CONTENT)
    headers = {"X_Repo_Commit": COMMIT, "X_Linked_Etag": f'"{etag}"'}
    path = f"/lab/forest/resolve/{revision}/onnx/model.onnx"
    giver.routes[path] = redirect(f"{elsewhere.url}/blob", **headers)


@pytest.mark.parametrize("revision", ["", "@v1"])
def test_a_file_comes_with_the_commit_it_is_of(
    home: Path, monkeypatch: pytest.MonkeyPatch, revision: str
) -> None:
    with giving() as giver, giving() as elsewhere:
        monkeypatch.setenv("HF_ENDPOINT", giver.url)
        hub(giver, elsewhere, revision.lstrip("@") or "main")
        access = replace(ACCESS, secret=secret_folder(home / "secret", {"HF_TOKEN": "hf_x"}))
        for _ in range(2):
            found = fetch(f"hf://lab/forest{revision}/onnx/model.onnx", None, access, home / "s")
            assert found.digest == DIGEST
            assert found.address == f"hf://lab/forest@{COMMIT}/onnx/model.onnx"
        assert [one.headers["authorization"] for one in giver.asked] == ["Bearer hf_x"] * 2
        assert all("authorization" not in one.headers for one in elsewhere.asked)


def test_ones_own_token_is_used_where_no_secret_is_named(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with giving() as giver, giving() as elsewhere:
        monkeypatch.setenv("HF_ENDPOINT", giver.url)
        hub(giver, elsewhere)
        (home / "home").mkdir()
        (home / "home" / "token").write_text("hf_mine\n")
        uri = "hf://lab/forest/onnx/model.onnx"
        fetch(uri, None, ACCESS, home / "s")
        monkeypatch.setenv("HF_TOKEN", "hf_set")
        fetch(uri, None, ACCESS, home / "s")
        told = [one.headers["authorization"] for one in giver.asked]
        assert told == ["Bearer hf_mine", "Bearer hf_set"]


def test_bytes_that_the_hub_calls_otherwise_are_refused(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with giving() as giver, giving() as elsewhere:
        monkeypatch.setenv("HF_ENDPOINT", giver.url)
        hub(giver, elsewhere, etag="0" * 64)
        with pytest.raises(ArtifactError, match=f"its own store calls it {'0' * 64}") as caught:
            fetch("hf://lab/forest/onnx/model.onnx", None, ACCESS, home / "s")
        assert caught.value.reason is Reason.DIGEST_MISMATCH
        with pytest.raises(ArtifactError, match="answered 404"):
            fetch("hf://lab/forest/nothing", None, ACCESS, home / "s")


@pytest.mark.parametrize("uri", ["hf://lab/forest", "hf://model.onnx", "hf://a/b/c?d=e"])
def test_how_a_file_is_named_is_said(home: Path, uri: str) -> None:
    with pytest.raises(ArtifactError, match="write hf://OWNER/REPOSITORY/FILE") as caught:
        fetch(uri, None, ACCESS, home / "s")
    assert caught.value.reason is Reason.SOURCE_UNSUPPORTED
