"""The store of model files: fresh copies, named by the SHA-256 of their bytes.

Nothing parses a file before its digest was compared, and what is loaded is a regular file of our
own, whatever the source was. Several processes may fetch the same artifact at once: each writes a
file of its own, and the rename that publishes it is atomic.
"""

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from tiltyard_api.v1alpha1.models import Source

CHUNK = 1 << 20
READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Without O_NONBLOCK a named pipe that nobody writes to would hold us for ever."""


class ArtifactError(Exception):
    """An artifact that cannot be had, or is not the one that was meant."""


def fetch(source: Source, folder: Path, store: Path) -> Path:
    """Copy an artifact into the store.

    Args:
        source: where it is and, if said, the digest it must have.
        folder: what a relative `file:` path starts from.
        store: folder of the store; made where it does not exist.

    Returns:
        Path of the copy; its name is its digest.

    Raises:
        ArtifactError: no such file, not a regular one, or another digest.

    """
    origin = _local_path(source.uri, folder)
    store.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=store, prefix=".incoming-")
    try:
        with os.fdopen(handle, "wb") as copy:
            found = _copy(origin, copy, source.uri)
        if source.sha256 and found != source.sha256:
            raise ArtifactError(
                f"{source.uri} has SHA-256 {found}, the manifest says {source.sha256}:"
                " correct sha256 or restore the file"
            )
        path = store / found
        Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()
    return path


def _local_path(uri: str, folder: Path) -> Path:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ArtifactError(f"{uri} is no URI: {error}") from error
    if parts.scheme != "file":
        scheme = f"{parts.scheme}:" if parts.scheme else "a path without a scheme"
        raise ArtifactError(f"{uri}: {scheme} is not a source of this version: use file:PATH")
    if parts.netloc not in ("", "localhost"):
        raise ArtifactError(f"{uri} names a host: write file:PATH or file:///PATH")
    if parts.query or parts.fragment:
        raise ArtifactError(f"{uri}: write ? as %3F and # as %23 in a path")
    return folder / unquote(parts.path)


def _copy(origin: Path, target: BinaryIO, uri: str) -> str:
    """Copy a regular file and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.open(origin, READ), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ArtifactError(f"{uri} is not a regular file")
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                target.write(chunk)
    except OSError as error:
        raise ArtifactError(f"{uri}: {error.strerror} ({origin})") from error
    except ValueError as error:
        raise ArtifactError(f"{uri}: {error}") from error
    return digest.hexdigest()
