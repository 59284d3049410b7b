"""What every family of sources takes and gives, and how they say that an artifact cannot be had."""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from tiltyard_api import quantities
from tiltyard_api.artifacts import FETCH_TIME, MOST_SIZE
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.addresses import Addresses, AddressRefused

CHUNK = 1 << 20
"""Bytes that are asked for at a time: more makes nothing quicker, less does not stay unseen."""

Pieces = Iterator[bytes | memoryview]


class ArtifactError(Exception):
    """An artifact that cannot be had, is not the one that was meant, or is no model."""

    def __init__(self, reason: ConditionReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class PassingError(ArtifactError):
    """What may be gone by the next attempt: a server that is away, a transfer that broke off."""

    def __init__(self, message: str) -> None:
        super().__init__(ConditionReason.SOURCE_UNAVAILABLE, message)


def shown(uri: str) -> str:
    """Give a URI as it may be told: a query can hold a signature, a user part a password."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return uri.partition("?")[0].rpartition("@")[2]
    if parts.scheme not in ("http", "https"):
        return uri
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="")
    return place._replace(query="..." if place.query else "").geturl()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one artifact may cost."""

    size: int = quantities.quantity_bytes(MOST_SIZE)
    """Bytes."""

    seconds: float = quantities.seconds(FETCH_TIME)
    """From the first request to the last byte, attempts and pauses together."""

    silence: float = 30.0
    """Seconds that a server may say nothing."""

    attempts: int = 4


@dataclass(frozen=True, slots=True)
class Access:
    """What a source may be reached with."""

    folder: Path = Path()
    """What a relative `file:` path starts from."""

    claims: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for volumes."""

    secret: Path | None = None
    """Folder with the keys of the source's Secret; None: ambient credentials."""

    addresses: Addresses = field(default_factory=Addresses)
    limits: Limits = field(default_factory=Limits)
    deadline: float = math.inf
    """Moment of the monotonic clock at which all attempts are over."""

    def remaining(self, uri: str) -> float:
        """Seconds that are left.

        Raises:
            ArtifactError: none.

        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise self.too_slow(uri)
        return left

    def too_slow(self, uri: str) -> ArtifactError:
        """Say that the time was not enough."""
        return ArtifactError(
            ConditionReason.SOURCE_UNAVAILABLE,
            f"{shown(uri)} did not arrive within {self.limits.seconds:g} s:"
            " look at the server, or allow more time by --timeout",
        )

    def key(self, name: str) -> str | None:
        """Value of a key of the Secret."""
        if self.secret is None:
            return None
        try:
            return (self.secret / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True)
class Stream:
    """An artifact on its way."""

    pieces: Pieces
    size: int | None = None
    """Bytes, where the server says so."""

    address: str | None = None
    """Immutable address of these very bytes, where the store has one."""

    digest: str | None = None
    """SHA-256 that the store names them by; other bytes are refused."""


Opened = AbstractContextManager[Stream]


def unusable(message: str) -> ArtifactError:
    """Say that a source is not written as its kind is."""
    return ArtifactError(ConditionReason.SOURCE_UNSUPPORTED, message)


def unreachable_elsewhere(place: str, refused: AddressRefused) -> ArtifactError:
    """Say that a host is not asked since others could not ask it."""
    return ArtifactError(
        ConditionReason.ADDRESS_REFUSED,
        f"{place} is at {refused}, which only this machine can reach:"
        " name another host, or allow the address by --allow-address",
    )
