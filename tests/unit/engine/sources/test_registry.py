"""Artifacts from a container registry: its dialogue, word for word, and what is refused."""

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from givers import Giver, Handler, Route, answer, giving, redirect
from object_stores import secret_folder
from tiltyard_api.v1alpha1.conditions import ConditionReason as Reason
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, ArtifactError

CONTENT = b"the bytes of a model" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
ACCESS = Access(addresses=Addresses(EVERYWHERE))


def layer(title: str = "model.onnx", **fields: Any) -> dict[str, Any]:
    return {
        "mediaType": "application/octet-stream",
        "digest": f"sha256:{DIGEST}",
        "size": len(CONTENT),
        "annotations": {"org.opencontainers.image.title": title},
        **fields,
    }


def manifest(*layers: dict[str, Any]) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": list(layers)}).encode()


def registry(giver: Giver, data: bytes, blob: Route | None = None) -> str:
    """Set up a registry; returns the digest of its only manifest."""
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    for reference in ("v1", "latest", found):
        giver.routes[f"/v2/lab/models/manifests/{reference}"] = answer(200, data)
    giver.routes[f"/v2/lab/models/blobs/sha256:{DIGEST}"] = blob or answer(200, CONTENT)
    return found


def uri_of(giver: Giver, rest: str = ":v1") -> str:
    return f"oci://{giver.url.removeprefix('http://')}/lab/models{rest}"


@pytest.mark.parametrize("rest", [":v1", "", "@DIGEST"])
def test_the_only_layer_is_the_model(tmp_path: Path, rest: str) -> None:
    with giving() as giver:
        digest = registry(giver, manifest(layer()))
        found = fetch(uri_of(giver, rest.replace("DIGEST", digest)), None, ACCESS, tmp_path)
        assert (found.digest, found.size) == (DIGEST, len(CONTENT))
        assert found.address == uri_of(giver, f"@{digest}")
        assert giver.asked[0].headers["accept"] == "application/vnd.oci.image.manifest.v1+json"


def test_a_size_that_is_a_text_is_a_number_all_the_same(tmp_path: Path) -> None:
    with giving() as giver:
        registry(giver, manifest(layer(size=str(len(CONTENT)))))
        assert fetch(uri_of(giver), None, ACCESS, tmp_path).size == len(CONTENT)


def test_one_of_several_layers_is_named_by_its_title(tmp_path: Path) -> None:
    with giving() as giver:
        other = layer("README.md", digest=f"sha256:{'0' * 64}")
        digest = registry(giver, manifest(other, layer()))
        found = fetch(uri_of(giver, ":v1#model.onnx"), None, ACCESS, tmp_path)
        assert found.address == uri_of(giver, f"@{digest}#model.onnx")
        with pytest.raises(ArtifactError, match=r"holds README.md, model.onnx: name one"):
            fetch(uri_of(giver), None, ACCESS, tmp_path)


def test_blobs_may_lie_elsewhere_and_are_asked_for_without_credentials(tmp_path: Path) -> None:
    with giving() as giver, giving({"/blob": answer(200, CONTENT)}) as elsewhere:
        registry(giver, manifest(layer()), redirect(f"{elsewhere.url}/blob"))
        authorized(giver, 'Basic realm="x"', basic())
        assert fetch(uri_of(giver), None, logged_in(giver, tmp_path), tmp_path / "s")
        assert "authorization" not in elsewhere.asked[0].headers


def basic() -> str:
    return f"Basic {b64encode(b'user:s3cr3t').decode()}"


def authorized(giver: Giver, challenge: str, header: str) -> None:
    """Let every route of the registry want a header."""

    def guard(route: Route) -> Route:
        def guarded(handler: Handler) -> None:
            known = handler.headers.get("Authorization") == header
            (route if known else answer(401, WWW_Authenticate=challenge))(handler)

        return guarded

    for path in [path for path in giver.routes if path.startswith("/v2/")]:
        giver.routes[path] = guard(giver.routes[path])


def logged_in(giver: Giver, tmp_path: Path) -> Access:
    host = giver.url.removeprefix("http://")
    auth = b64encode(b"user:s3cr3t").decode()
    keys = {".dockerconfigjson": json.dumps({"auths": {host: {"auth": auth}}})}
    return replace(ACCESS, secret=secret_folder(tmp_path / "secret", keys))


def test_a_token_is_fetched_where_the_registry_wants_one(tmp_path: Path) -> None:
    with giving() as giver:
        registry(giver, manifest(layer()))
        realm = f'Bearer realm="{giver.url}/token",service="lab",scope="repository:lab/models:pull"'
        authorized(giver, realm, "Bearer t0k")
        giver.routes["/token"] = answer(200, b'{"token": "t0k"}')
        access = logged_in(giver, tmp_path)
        assert fetch(uri_of(giver), None, access, tmp_path / "s").digest == DIGEST
        asked = next(one for one in giver.asked if one.path.startswith("/token"))
        assert asked.path == "/token?service=lab&scope=repository%3Alab%2Fmodels%3Apull"
        assert asked.headers["authorization"] == basic()


def test_a_registry_that_knows_nobody_says_so_and_tells_no_secret(tmp_path: Path) -> None:
    with giving() as giver:
        registry(giver, manifest(layer()))
        authorized(giver, 'Basic realm="x"', "another")
        with pytest.raises(ArtifactError, match="answered 401: check the Secret") as caught:
            fetch(uri_of(giver), None, logged_in(giver, tmp_path), tmp_path / "s")
        assert caught.value.reason is Reason.ACCESS_DENIED
        assert "s3cr3t" not in str(caught.value)


def test_docker_s_own_configuration_counts_without_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with giving() as giver:
        registry(giver, manifest(layer()))
        authorized(giver, 'Basic realm="x"', basic())
        host = giver.url.removeprefix("http://")
        entry = {"username": "user", "password": "s3cr3t"}
        (tmp_path / "config.json").write_text(json.dumps({"auths": {host: entry}}))
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        assert fetch(uri_of(giver), None, ACCESS, tmp_path / "s").digest == DIGEST


BAD: dict[str, tuple[Callable[[], bytes], str, Reason, str]] = {
    "no layer": (manifest, ":v1", Reason.SOURCE_UNSUPPORTED, "holds no layer: name one"),
    "an index": (
        lambda: b'{"manifests": []}',
        ":v1",
        Reason.SOURCE_UNSUPPORTED,
        "is no artifact with layers: push the file, as in `oras push",
    ),
    "no JSON": (lambda: b"<html>", ":v1", Reason.SOURCE_UNSUPPORTED, "is no artifact with"),
    "brackets alone": (lambda: b"[" * 100_000, ":v1", Reason.SOURCE_UNSUPPORTED, "is no artifact"),
    "a tar archive": (
        lambda: manifest(layer(mediaType="application/vnd.oci.image.layer.v1.tar+gzip")),
        ":v1",
        Reason.SOURCE_UNSUPPORTED,
        "is a tar archive: push the file, or a zip, by itself",
    ),
    "a hostile digest": (
        lambda: manifest(layer(digest="sha256:../../x")),
        ":v1",
        Reason.SOURCE_UNSUPPORTED,
        "holds no layer: name one",
    ),
    "a manifest of other bytes": (
        lambda: manifest(layer()),
        f"@sha256:{'0' * 64}",
        Reason.DIGEST_MISMATCH,
        "the registry gives another manifest",
    ),
    "an endless manifest": (
        lambda: b" " * (5 << 20),
        ":v1",
        Reason.SOURCE_UNSUPPORTED,
        "is longer than 4 MiB",
    ),
    "no such tag": (
        lambda: manifest(layer()),
        ":v2",
        Reason.SOURCE_NOT_FOUND,
        "answered 404: correct the uri",
    ),
    "no name": (
        lambda: b"",
        ":v1:v2",
        Reason.SOURCE_UNSUPPORTED,
        "write oci://REGISTRY/REPOSITORY:TAG",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_artifact_gets_a_reason(tmp_path: Path, case: str) -> None:
    make, rest, reason, words = BAD[case]
    with giving() as giver:
        registry(giver, make())
        wrong = f"/v2/lab/models/manifests/sha256:{'0' * 64}"
        giver.routes[wrong] = answer(200, make())
        with pytest.raises(ArtifactError) as caught:
            fetch(uri_of(giver, rest), None, ACCESS, tmp_path)
    assert (caught.value.reason, words in str(caught.value)) == (reason, True), caught.value


def test_a_flipped_bit_in_a_blob_is_refused(tmp_path: Path) -> None:
    with giving() as giver:
        registry(giver, manifest(layer()), answer(200, CONTENT.replace(b"model", b"modem", 1)))
        with pytest.raises(ArtifactError, match="its own store calls it") as caught:
            fetch(uri_of(giver), None, ACCESS, tmp_path)
    assert caught.value.reason is Reason.DIGEST_MISMATCH
    assert list(tmp_path.iterdir()) == []
