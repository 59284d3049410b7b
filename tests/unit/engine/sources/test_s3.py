"""Artifacts from an S3 server, made by the stock client."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import givers
from givers import giving
from object_stores import S3Server, s3_server, secret_folder
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, ArtifactError, Limits

CONTENT = os.urandom(3 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
QUICK = Limits(size=4 << 20, seconds=20.0, silence=0.5, attempts=2)
ACCESS = Access(addresses=Addresses(EVERYWHERE), limits=QUICK)
KEY = "deep/my model%20+é.onnx"
URI = "s3://models/deep/my%20model%2520+%C3%A9.onnx"


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        client = running.client()
        client.create_bucket(Bucket="models")
        client.put_object(Bucket="models", Key=KEY, Body=CONTENT)
        client.create_bucket(Bucket="versioned")
        client.put_bucket_versioning(
            Bucket="versioned", VersioningConfiguration={"Status": "Enabled"}
        )
        yield running


@pytest.fixture
def access(server: S3Server, tmp_path: Path) -> Access:
    return replace(ACCESS, secret=secret_folder(tmp_path / "secret", server.variables()))


def refused(uri: str, access: Access, store: Path) -> tuple[Reason, str]:
    with pytest.raises(ArtifactError) as caught:
        fetch(uri, None, access, store)
    assert "\n" not in str(caught.value)
    assert "s3cr3t" not in str(caught.value)
    assert not store.exists() or list(store.iterdir()) == []
    return caught.value.reason, str(caught.value)


def test_an_object_is_read_with_the_keys_of_a_secret(access: Access, tmp_path: Path) -> None:
    found = fetch(URI, None, access, tmp_path / "store")
    assert (found.digest, found.size, found.address) == (DIGEST, len(CONTENT), None)
    assert found.path.read_bytes() == CONTENT


def test_nothing_of_a_secret_stays_in_the_environment(access: Access, tmp_path: Path) -> None:
    before = dict(os.environ)
    fetch(URI, None, access, tmp_path / "store")
    assert dict(os.environ) == before


def test_a_version_has_an_immutable_address(
    server: S3Server, access: Access, tmp_path: Path
) -> None:
    old = server.client().put_object(Bucket="versioned", Key="m.onnx", Body=CONTENT)
    new = server.client().put_object(Bucket="versioned", Key="m.onnx", Body=b"newer")
    found = fetch("s3://versioned/m.onnx", None, access, tmp_path / "store")
    assert found.path.read_bytes() == b"newer"
    assert found.address == f"s3://versioned/m.onnx?versionId={new['VersionId']}"
    address = f"s3://versioned/m.onnx?versionId={old['VersionId']}"
    again = fetch(address, None, access, tmp_path / "store")
    assert (again.digest, again.address) == (DIGEST, address)


@pytest.mark.parametrize(
    ("uri", "reason", "words"),
    [
        ("s3://models/nothing.onnx", Reason.SOURCE_NOT_FOUND, "no such object: correct the uri"),
        ("s3://no-such-bucket/m.onnx", Reason.SOURCE_NOT_FOUND, "no such object"),
        ("s3://models", Reason.SOURCE_UNSUPPORTED, "names no object: write s3://BUCKET/KEY"),
        ("s3:///m.onnx", Reason.SOURCE_UNSUPPORTED, "names no object"),
        ("s3://models/m?part=1", Reason.SOURCE_UNSUPPORTED, "only ?versionId=... may follow"),
        ("s3://models/m#1", Reason.SOURCE_UNSUPPORTED, "write # as %23 in a key"),
    ],
)
def test_what_is_not_there_is_said(
    access: Access, tmp_path: Path, uri: str, reason: Reason, words: str
) -> None:
    found, message = refused(uri, access, tmp_path / "store")
    assert (found, words in message) == (reason, True), message


def test_a_limit_on_size_holds(access: Access, tmp_path: Path) -> None:
    small = replace(access, limits=replace(QUICK, size=1 << 20))
    assert refused(URI, small, tmp_path / "store")[0] is Reason.TOO_LARGE


def test_in_a_cluster_an_endpoint_on_this_machine_is_refused(
    access: Access, tmp_path: Path
) -> None:
    reason, message = refused(URI, replace(access, addresses=Addresses()), tmp_path / "store")
    assert reason is Reason.ADDRESS_REFUSED
    assert "AWS_ENDPOINT_URL is at 127.0.0.1" in message


BAD: Mapping[str, tuple[givers.Route, Reason, str, int]] = {
    "refused": (givers.answer(403), Reason.ACCESS_DENIED, "check the Secret that secretName", 1),
    "broken": (givers.answer(503), Reason.SOURCE_UNAVAILABLE, "the store answered 503", 2),
    "another region": (givers.answer(301), Reason.SOURCE_UNAVAILABLE, "set AWS_REGION to it", 1),
    "silent": (givers.silent, Reason.SOURCE_UNAVAILABLE, "cannot be reached", 2),
    "truncated": (
        givers.truncated(b"half", 8),
        Reason.SOURCE_UNAVAILABLE,
        "broke off",
        2,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_store_gets_a_reason(tmp_path: Path, case: str) -> None:
    route, reason, words, asked = BAD[case]
    with giving({"/models/m.onnx": route}) as giver:
        keys = S3Server(giver.url).variables()
        access = replace(ACCESS, secret=secret_folder(tmp_path / "secret", keys))
        found, message = refused("s3://models/m.onnx", access, tmp_path / "store")
        assert (found, words in message) == (reason, True), message
        assert len(giver.asked) == asked


AMBIENT = """
import sys
from ipaddress import ip_network
from pathlib import Path
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import Addresses
from tiltyard_engine.sources.base import Access, ArtifactError
access = Access(addresses=Addresses((ip_network("127.0.0.0/8"),)))
try:
    print(fetch(sys.argv[1], None, access, Path(sys.argv[2])).digest)
except ArtifactError as error:
    print(error.reason.value, error)
"""


def ambient(tmp_path: Path, **variables: str) -> str:
    """Fetch in a process of its own with these variables and nothing else to go by."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables}
    command = [sys.executable, "-c", AMBIENT, URI, str(tmp_path / "store")]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    return done.stdout.strip()


def test_without_a_secret_the_machines_own_variables_count(
    server: S3Server, tmp_path: Path
) -> None:
    assert ambient(tmp_path, **server.variables()) == DIGEST


def test_a_profile_of_the_stock_tools_counts(server: S3Server, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(
        f"[profile lab]\nregion = us-east-1\nendpoint_url = {server.url}\n"
        "[profile sso]\nsso_session = x\n"
    )
    (tmp_path / ".aws" / "credentials").write_text(
        "[lab]\naws_access_key_id = key\naws_secret_access_key = s3cr3t\n"
    )
    assert ambient(tmp_path, AWS_PROFILE="lab") == DIGEST
    said = ambient(tmp_path, AWS_PROFILE="sso")
    assert said.startswith("AccessDenied ")
    assert "aws configure export-credentials --profile sso --format env" in said


def test_a_missing_library_is_named_with_its_command(tmp_path: Path) -> None:
    (tmp_path / "obstore.py").write_text("raise ImportError('not here')")
    assert ambient(tmp_path, PYTHONPATH=str(tmp_path), AWS_REGION="x").endswith(
        "what reads s3, gs and az is not installed: pip install 'tiltyard[cloud]'"
    )
