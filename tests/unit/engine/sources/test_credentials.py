"""Credentials of object stores: each model has its own, and what cannot be used is said."""

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from object_stores import secret_folder
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, ArtifactError, Limits
from tiltyard_engine.sources.credentials import environment

FEDERATED = json.dumps({"type": "external_account", "private_key": "s3cr3t"})


@pytest.mark.parametrize(
    ("uri", "keys", "words"),
    [
        ("az://models/m.onnx", {}, "nothing names the storage account: set AZURE_STORAGE_"),
        (
            "az://models/m.onnx",
            {"AZURE_STORAGE_CONNECTION_STRING": "AccountName=a;AccountKey=s3cr3t no base64"},
            "check AZURE_STORAGE_ACCOUNT_KEY, AZURE_STORAGE_ACCOUNT_NAME",
        ),
        ("gs://models/m.onnx", {"key.json": FEDERATED}, "is external_account, only service_"),
        ("gs://models/m.onnx", {"key.json": "s3cr3t"}, "is no JSON, only service_account"),
        (
            "gs://models/m.onnx",
            {"key.json": json.dumps({"type": "service_account", "private_key": "s3cr3t"})},
            "check GOOGLE_SERVICE_ACCOUNT_KEY",
        ),
    ],
)
def test_what_cannot_be_used_is_said_without_being_shown(
    tmp_path: Path, uri: str, keys: dict[str, str], words: str
) -> None:
    access = Access(
        addresses=Addresses(EVERYWHERE),
        secret=secret_folder(tmp_path / "secret", keys),
        limits=Limits(attempts=1, seconds=10.0),
    )
    with pytest.raises(ArtifactError) as caught:
        fetch(uri, None, access, tmp_path / "store")
    assert caught.value.reason is Reason.ACCESS_DENIED
    assert words in str(caught.value)
    assert "s3cr3t" not in str(caught.value)


def test_models_that_are_fetched_at_once_keep_their_credentials_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the machine's")

    together = threading.Barrier(4)

    def seen(number: int) -> set[tuple[str, str]]:
        keys = {"AWS_ACCESS_KEY_ID": f"key {number}", f"AWS_ONLY_{number}": "x"}
        access = Access(secret=secret_folder(tmp_path / str(number), keys))
        found: set[tuple[str, str]] = set()
        together.wait(60)
        for _ in range(500):
            with environment("s3://models/m.onnx", "s3", access):
                found |= {(k, v) for k, v in os.environ.items() if k.startswith("AWS_")}
        return found

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as pool:
            told = list(pool.map(seen, range(4)))
    finally:
        sys.setswitchinterval(interval)
    assert told == [
        {("AWS_ACCESS_KEY_ID", f"key {number}"), (f"AWS_ONLY_{number}", "x")} for number in range(4)
    ]
    assert {k: v for k, v in os.environ.items() if k.startswith("AWS_")} == {
        "AWS_ACCESS_KEY_ID": "the machine's"
    }
