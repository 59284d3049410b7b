"""`oci://REGISTRY/REPOSITORY:TAG`: an artifact in a container registry, as one layer."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.base import Access, ArtifactError, Pieces, Stream, unusable
from tiltyard_engine.sources.https import Answer, expect, fetched, get
from tiltyard_engine.sources.web import basic

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
SMALL = 4 << 20
"""Bytes of the largest manifest or token that is read."""

ALIASES = {"docker.io": "registry-1.docker.io"}
DOCKER_HUB = "https://index.docker.io/v1/"
"""How docker's own tools file the credentials of its hub."""

PLACE = re.compile(
    r"(?P<repository>[a-z0-9]+([._/-]+[a-z0-9]+)*)"
    r"(@(?P<digest>sha256:[0-9a-f]{64})|:(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?"
)
CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an artifact is."""

    uri: str
    host: str
    repository: str
    reference: str
    title: str

    @property
    def url(self) -> str:
        """Start of every request; a registry of this very machine speaks in the clear."""
        name = self.host.rpartition(":")[0] or self.host
        scheme = "http" if name in ("localhost", "127.0.0.1", "[::1]") else "https"
        return f"{scheme}://{ALIASES.get(self.host, self.host)}/v2/{self.repository}"


@contextmanager
def open_layer(uri: str, parts: SplitResult, access: Access) -> Iterator[Stream]:
    """Open the only layer, or the one whose title stands behind `#`."""
    place = _place(uri, parts)
    with _authorized(f"{place.url}/manifests/{place.reference}", place, access) as (answer, mine):
        expect(answer)
        data = _small(answer)
    found = f"sha256:{hashlib.sha256(data).hexdigest()}"
    if place.reference.startswith("sha256:") and place.reference != found:
        raise ArtifactError(
            ConditionReason.DIGEST_MISMATCH, f"{uri}: the registry gives another manifest, {found}"
        )
    layer = _layer(place, data)
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    url = f"{place.url}/blobs/{layer['digest']}"
    with fetched(url, access, {}, mine) as answer:
        yield Stream(
            answer.stream.pieces,
            size=int(layer["size"]),
            address=f"oci://{place.host}/{place.repository}@{found}{fragment}",
            digest=layer["digest"].removeprefix("sha256:"),
        )


def _place(uri: str, parts: SplitResult) -> _Place:
    match = PLACE.fullmatch(parts.path.lstrip("/"))
    if not match or not parts.netloc or "@" in parts.netloc or parts.query:
        raise unusable(f"{uri}: write oci://REGISTRY/REPOSITORY:TAG or @sha256:DIGEST")
    reference = match["digest"] or match["tag"] or "latest"
    return _Place(uri, parts.netloc, match["repository"], reference, unquote(parts.fragment))


def _layer(place: _Place, data: bytes) -> dict[str, Any]:
    """Find the layer that is meant."""
    try:
        manifest = _parsed(data)
        layers = [
            (str(one.get("annotations", {}).get(TITLE, "")), one)
            for one in manifest["layers"]
            if re.fullmatch("sha256:[0-9a-f]{64}", one["digest"]) and int(one["size"]) >= 0
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise unusable(
            f"{place.uri} is no artifact with layers: push the file, as in"
            f" `oras push {place.host}/{place.repository}:TAG model.onnx`"
        ) from error
    chosen = [one for title, one in layers if not place.title or title == place.title]
    if len(chosen) != 1:
        titles = ", ".join(title or "(no title)" for title, _ in layers[:8]) or "no layer"
        raise unusable(f"{place.uri} holds {titles}: name one, as in #model.onnx")
    if "tar" in str(chosen[0].get("mediaType", "")):
        raise unusable(f"{place.uri} is a tar archive: push the file, or a zip, by itself")
    return dict(chosen[0])


@contextmanager
def _authorized(url: str, place: _Place, access: Access) -> Iterator[tuple[Answer, dict[str, str]]]:
    """Ask once for nothing in return, then as the registry wants to be asked."""
    accept = {"Accept": MANIFEST}
    with get(url, access, accept, {}) as answer:
        if answer.status != 401:
            yield answer, {}
            return
        mine = _answered(answer.headers.get("WWW-Authenticate", ""), place, access)
    with get(url, access, accept, mine) as answer:
        yield answer, mine


def _answered(challenge: str, place: _Place, access: Access) -> dict[str, str]:
    """Headers that answer what a registry asks for."""
    credentials = _credentials(place.host, access)
    scheme, _, rest = challenge.partition(" ")
    if scheme.lower() == "basic":
        return credentials
    asked = dict(CHALLENGE.findall(rest))
    if scheme.lower() != "bearer" or "realm" not in asked:
        return {}
    realm = asked.pop("realm")
    if not realm.startswith(("https://", place.url.partition("//")[0])):
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"{place.uri}: its registry wants a password in the clear",
        )
    url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(asked)}"
    with fetched(url, access, {}, credentials) as answer:
        try:
            given = _parsed(_small(answer))
            token = given.get("token") or given["access_token"]
        except (ValueError, KeyError, AttributeError) as error:
            raise ArtifactError(
                ConditionReason.SOURCE_UNAVAILABLE, f"{place.uri}: its registry gives no token"
            ) from error
    return {"Authorization": f"Bearer {token}"}


def _credentials(host: str, access: Access) -> dict[str, str]:
    """What docker's configuration says of a registry: the Secret's, or the user's own."""
    text = access.key(".dockerconfigjson")
    if access.secret is None:
        folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        try:
            text = (folder / "config.json").read_text(encoding="utf-8")
        except OSError:
            text = None
    try:
        known = _parsed(text or "{}").get("auths", {})
        entry = known.get(host) or known.get(f"https://{host}") or {}
        if host in ALIASES:
            entry = entry or known.get(DOCKER_HUB) or {}
        if entry.get("auth"):
            user, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        else:
            user, password = entry.get("username", ""), entry.get("password", "")
    except (ValueError, AttributeError) as error:
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"the docker configuration for {host} cannot be read: make it anew, as by"
            " kubectl create secret docker-registry",
        ) from error
    return basic(user, password) if user else {}


def _parsed(text: bytes | str) -> Any:  # noqa: ANN401 - whatever JSON holds
    """Read JSON of strangers.

    Raises:
        ValueError: it is none, or nested too deep to be any that is meant.

    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _small(answer: Answer) -> bytes:
    """Read a short answer whole."""
    data = bytearray()
    pieces: Pieces = answer.stream.pieces
    for piece in pieces:
        data += piece
        if len(data) > SMALL:
            raise unusable(f"{answer.url} is longer than {SMALL >> 20} MiB, which no manifest is")
    return bytes(data)
