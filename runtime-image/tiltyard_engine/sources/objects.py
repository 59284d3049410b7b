"""`s3://`, `gs://` and `az://`: object stores, all three through obstore."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.addresses import AddressRefused
from tiltyard_engine.sources.base import (
    CHUNK,
    Access,
    ArtifactError,
    PassingError,
    Pieces,
    Stream,
    unreachable_elsewhere,
    unusable,
)
from tiltyard_engine.sources.credentials import environment

CLASSES = {"s3": "S3Store", "gs": "GCSStore", "az": "AzureStore"}

VERSION = {"s3": "versionId", "gs": "generation", "az": "versionId"}
"""Parameter of a URI that names one version of an object."""

ENDPOINTS = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_ENDPOINT",
    "GOOGLE_BASE_URL",
)
"""Variables by which another server than the cloud's own is named."""

CONNECT_SECONDS = 5.0
"""To connect: off the clouds nobody answers at the address where they hand out credentials."""

STATUS = re.compile(r"status code: ([1-5]\d\d)")
DENIED = ("401", "403")
PASSING = ("408", "429", "500", "502", "503", "504")


@contextmanager
def open_object(uri: str, parts: SplitResult, access: Access) -> Iterator[Stream]:
    """Open `SCHEME://BUCKET/KEY`, or one version of it."""
    bucket, key = parts.netloc, unquote(parts.path.lstrip("/"))
    version = _version(uri, parts)
    if not bucket or not key:
        raise unusable(f"{uri} names no object: write {parts.scheme}://BUCKET/KEY")
    with _told(uri, access):
        store = _store(uri, parts.scheme, bucket, access)
        found = _obstore().get(store, key, options={"version": version} if version else {})
    meta = found.meta
    yield Stream(
        _pieces(uri, found.stream(min_chunk_size=CHUNK), access),
        size=meta["size"],
        address=_address(parts, meta.get("version")),
    )


def put_object(uri: str, data: bytes, access: Access) -> None:
    """Write `SCHEME://BUCKET/KEY`, all of it or nothing.

    Raises:
        ArtifactError: the store does not take it.

    """
    parts = urlsplit(uri)
    with _told(uri, access):
        store = _store(uri, parts.scheme, parts.netloc, access)
        _obstore().put(store, unquote(parts.path.lstrip("/")), data)


def _version(uri: str, parts: SplitResult) -> str | None:
    if parts.fragment:
        raise unusable(f"{uri}: write # as %23 in a key")
    wanted = dict(parse_qsl(parts.query))
    version = wanted.pop(VERSION[parts.scheme], None)
    if wanted or (parts.query and version is None):
        raise unusable(
            f"{uri}: only ?{VERSION[parts.scheme]}=... may follow a key; write ? as %3F in it"
        )
    return version


def _address(parts: SplitResult, version: str | None) -> str | None:
    """Address of this version; a bucket that keeps none says `null`, or nothing."""
    if version in (None, "", "null"):
        return None
    return parts._replace(query=f"{VERSION[parts.scheme]}={version}").geturl()


def _obstore() -> Any:  # noqa: ANN401 - its own stubs say what comes back
    try:
        import obstore  # noqa: PLC0415 - an extra, loaded when somebody asks for it
        import obstore.store  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise unusable(
            "what reads s3, gs and az is not installed: pip install 'tiltyard[cloud]'"
        ) from error
    return obstore


def _store(uri: str, scheme: str, bucket: str, access: Access) -> object:
    obstore, silence = _obstore(), access.limits.silence
    with environment(uri, scheme, access) as variables:
        plain = _judged(uri, variables, access)
        left = access.remaining(uri)
        client: dict[str, object] = {
            "allow_http": plain,
            "connect_timeout": _duration(min(CONNECT_SECONDS, silence, left)),
            "read_timeout": _duration(silence),
            "timeout": _duration(left),
        }
        authority = access.key("ca.crt")
        if authority:
            client["root_certificate"] = authority
        store = getattr(obstore.store, CLASSES[scheme])
        try:
            # One policy of attempts for all sources: ours.
            return store(bucket, client_options=client, retry_config={"max_retries": 0})
        except Exception as error:  # a class of its own for each kind of setting
            raise ArtifactError(
                ConditionReason.ACCESS_DENIED,
                f"{uri}: its bucket or its credentials are not written as they must be:"
                f" check {', '.join(sorted(variables)) or 'secretName'}",
            ) from error


def _judged(uri: str, variables: Mapping[str, str], access: Access) -> bool:
    """Judge the servers that variables name; returns whether one is spoken to in the clear."""
    plain = False
    for name in ENDPOINTS:
        if name not in variables:
            continue
        parts = urlsplit(variables[name])
        plain |= parts.scheme == "http"
        try:
            access.addresses.of(parts.hostname or "", parts.port or 443)
        except AddressRefused as error:
            raise unreachable_elsewhere(f"{uri}: {name}", error) from error
        except (OSError, ValueError) as error:
            raise PassingError(f"{uri}: the host of {name} is not known") from error
    return plain


def _duration(seconds: float) -> str:
    return f"{max(int(seconds * 1000), 1)}ms"


def _pieces(uri: str, stream: Iterator[bytes], access: Access) -> Pieces:
    while True:
        with _told(uri, access):
            piece = next(stream, None)
        if piece is None:
            return
        yield piece


@contextmanager
def _told(uri: str, access: Access) -> Iterator[None]:
    """Say what a store does in one sentence; its own words are pages, and may hold signatures."""
    try:
        yield
    except ArtifactError:
        raise
    except FileNotFoundError as error:
        raise ArtifactError(
            ConditionReason.SOURCE_NOT_FOUND, f"{uri}: no such object: correct the uri"
        ) from error
    except Exception as error:  # classes of its own, some of them only in stubs
        kind, text = type(error).__name__, str(error)
        status = STATUS.search(text)
        code = status[1] if status else ""
        if kind in ("PermissionDeniedError", "UnauthenticatedError") or code in DENIED:
            raise ArtifactError(
                ConditionReason.ACCESS_DENIED,
                f"{uri}: the store refuses: check the Secret that secretName names, and what it"
                " may read",
            ) from error
        access.remaining(uri)
        raise _unclear(uri, code, text) from error


def _unclear(uri: str, code: str, text: str) -> ArtifactError:
    if "configured region" in text:
        return ArtifactError(
            ConditionReason.SOURCE_UNAVAILABLE,
            f"{uri}: the bucket is in another region: set AWS_REGION to it",
        )
    if code and code not in PASSING:
        return ArtifactError(
            ConditionReason.SOURCE_UNAVAILABLE, f"{uri}: the store answered {code}"
        )
    if "169.254." in text or "metadata" in text:
        return ArtifactError(
            ConditionReason.ACCESS_DENIED,
            f"{uri}: there are no credentials: name a Secret by secretName, or set the"
            " variables of the cloud's own tools",
        )
    if code:
        return PassingError(f"{uri}: the store answered {code}")
    words = "said nothing for too long" if "timed out" in text.lower() else "cannot be reached"
    return PassingError(f"{uri}: the store {words}, or broke off")
