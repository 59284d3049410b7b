"""The store of artifacts: fresh copies, named by the SHA-256 of their bytes.

Nothing parses a file before its digest was compared, and what is loaded is a regular file of our
own, whatever the source was. Several processes may fetch the same artifact at once: each writes a
file of its own, and the rename that publishes it is atomic.
"""

import errno
import fcntl
import hashlib
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.archive import is_archive, unpack
from tiltyard_engine.sources import open_source
from tiltyard_engine.sources.base import (
    Access,
    ArtifactError,
    Limits,
    PassingError,
    Stream,
    shown,
)

INCOMING = ".incoming-"
UNPACKED = "unpacked"
"""Folder of the store that holds what zips hold."""

YOUNG_SECONDS = 60.0
"""An unfinished file is locked right after it is made; one this old without a lock is an orphan."""

FIRST_PAUSE = 0.5
"""Seconds before the second attempt; each further pause is twice as long."""

LOCAL = ("file:", "pvc:")
"""Sources that are read anew each time: it is quick, and what changed is seen."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

Progress = Callable[[int, int | None], None]
"""Told how many bytes have come, of how many."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """An artifact in the store."""

    path: Path
    """The file; its name is its digest."""

    size: int
    address: str | None = None
    """Immutable address of these very bytes, where the store that gave them has one."""

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return self.path.name


def fetch(
    uri: str,
    sha256: str | None,
    access: Access,
    store: Path,
    progress: Progress = lambda _done, _size: None,
) -> Fetched:
    """Copy an artifact into the store.

    Args:
        uri: where it is.
        sha256: digest that it must have, if that is known.
        access: what it may be reached with, and what it may cost.
        store: folder of the store; made where it does not exist.
        progress: told now and then how far it is.

    Raises:
        ArtifactError: it cannot be had, or has another digest.

    """
    store.mkdir(parents=True, exist_ok=True)
    _sweep(store)
    if sha256 and not uri.startswith(LOCAL):
        known = stored(store, sha256)
        if known:
            return known
    access = replace(access, deadline=time.monotonic() + access.limits.seconds)
    for pause in _pauses(access.limits.attempts):
        try:
            return _attempt(uri, sha256, access, store, progress)
        except PassingError:
            if pause is None or access.remaining(uri) <= pause:
                raise
            time.sleep(pause)
    raise AssertionError("the last pause is None")


def stored(store: Path, digest: str) -> Fetched | None:
    """Find an artifact that is in the store already, and whole."""
    path = store / digest
    try:
        with path.open("rb") as file:
            whole = hashlib.file_digest(file, "sha256").hexdigest() == digest
            return Fetched(path, os.fstat(file.fileno()).st_size) if whole else None
    except FileNotFoundError:
        return None


def opened(path: Path, most: int = Limits().size) -> Path:
    """Give what an artifact of the store holds: the folder of a zip, the file itself otherwise.

    A zip is unpacked once; the rename that publishes the folder is atomic.

    Args:
        path: the artifact.
        most: bytes that its files may have together.

    Raises:
        ArtifactError: the zip is not to be trusted, or there is no room; the message goes on after
            its name.

    """
    if not is_archive(path):
        return path
    folder = content_of(path)
    if folder.is_dir():
        return folder
    with room("which is a zip"):
        folder.parent.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder.parent, prefix=INCOMING))
    try:
        with _locked(fresh), room("which is a zip"):
            unpack(path, fresh, most)
            _publish(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def content_of(path: Path) -> Path:
    """Folder that holds the content of an artifact that is a zip, once it was opened."""
    return path.parent / UNPACKED / path.name


def _publish(fresh: Path, folder: Path) -> None:
    try:
        fresh.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker
            raise


def _pauses(attempts: int) -> Iterator[float | None]:
    """Pause after each attempt, with jitter, so that many that failed at once do not return so."""
    for number in range(attempts - 1):
        yield FIRST_PAUSE * 2**number * random.uniform(0.75, 1.25)  # noqa: S311 - no secret
    yield None


def _attempt(
    uri: str, sha256: str | None, access: Access, store: Path, progress: Progress
) -> Fetched:
    with open_source(uri, access) as stream:
        known = stored(store, stream.digest) if stream.digest else None
        if known and sha256 in (None, known.digest):
            return replace(known, address=stream.address)
        with _incoming(store) as (file, name):
            found, size = _copy(uri, stream, file, access, progress)
            _check(uri, found, sha256, stream.digest)
            path = store / found
            name.replace(path)
    return Fetched(path, size, stream.address)


def _copy(
    uri: str, stream: Stream, file: IO[bytes], access: Access, progress: Progress
) -> tuple[str, int]:
    """Copy a stream and return the SHA-256 and the length of what was copied."""
    limit, place = access.limits.size, shown(uri)
    if stream.size is not None and stream.size > limit:
        raise _too_large(place, limit)
    digest, size = hashlib.sha256(), 0
    for piece in stream.pieces:
        size += len(piece)
        if size > limit:
            raise _too_large(place, limit)
        digest.update(piece)
        with room(place):
            file.write(piece)
        progress(size, stream.size)
        access.remaining(uri)
    with room(place):
        file.flush()
    if stream.size not in (None, size):
        raise PassingError(f"{place} broke off after {size} of {stream.size} bytes")
    return digest.hexdigest(), size


def _check(uri: str, found: str, wanted: str | None, claimed: str | None) -> None:
    place = shown(uri)
    if wanted and found != wanted:
        raise ArtifactError(
            ConditionReason.DIGEST_MISMATCH,
            f"{place} has SHA-256 {found}, the manifest says {wanted}:"
            " correct sha256 or restore the file",
        )
    if claimed and found != claimed:
        raise ArtifactError(
            ConditionReason.DIGEST_MISMATCH,
            f"{place} has SHA-256 {found}, its own store calls it {claimed}: upload it anew",
        )


@contextmanager
def _incoming(store: Path) -> Iterator[tuple[IO[bytes], Path]]:
    """Give a new file that is gone in the end, unless it was renamed."""
    with room("the store of models"):
        handle, name = tempfile.mkstemp(dir=store, prefix=INCOMING)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, _locked(path):
            yield file, path
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Tell others that somebody is still at work on this; raises OSError where somebody is."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _sweep(store: Path) -> None:
    """Remove what killed processes have left."""
    for path in (*store.glob(f"{INCOMING}*"), *store.glob(f"{UNPACKED}/{INCOMING}*")):
        with suppress(OSError):  # somebody else was quicker, or is still at work on it
            if time.time() - path.lstat().st_mtime < YOUNG_SECONDS:
                continue
            with _locked(path):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()


@contextmanager
def room(place: str) -> Iterator[None]:
    """Say that a file cannot be written, and for want of what."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            words = "there is no room for it: give the volume of the models more space"
        else:
            words = f"it cannot be written: {error.strerror}"
        raise ArtifactError(ConditionReason.NO_SPACE, f"{place}: {words}") from error


def _too_large(place: str, limit: int) -> ArtifactError:
    return ArtifactError(
        ConditionReason.TOO_LARGE,
        f"{place} has more than {limit} bytes, the most that is fetched: make it smaller, or allow"
        " more by --max-size",
    )
