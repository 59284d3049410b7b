"""`file:` and `pvc:`: files of this machine, and of volumes that are mounted."""

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import SplitResult, unquote

from tiltyard_api.artifacts import CLAIMS
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.base import CHUNK, Access, ArtifactError, Pieces, Stream, unusable

READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
"""Without O_NONBLOCK a named pipe that nobody writes to would hold us for ever."""


@contextmanager
def open_file(uri: str, parts: SplitResult, access: Access) -> Iterator[Stream]:
    """Open `file:PATH`. Links are followed: whoever may write the manifest chose the path."""
    if parts.netloc not in ("", "localhost"):
        raise unusable(f"{uri} names a host: write file:PATH or file:///PATH")
    path = access.folder / _path(uri, parts)
    with ExitStack() as stack:
        yield _stream(uri, _opened(uri, path, stack))


@contextmanager
def open_claim(uri: str, parts: SplitResult, access: Access) -> Iterator[Stream]:
    """Open `pvc://CLAIM/PATH`. No link leads out of the volume: others may write to it."""
    claim = parts.netloc
    root = access.claims.get(claim, Path(CLAIMS) / claim)
    if not claim or claim.startswith(".") or not root.is_dir():
        raise ArtifactError(
            ConditionReason.SOURCE_NOT_FOUND,
            f"{uri}: the volume {claim!r} is not mounted at {root}: correct the uri, or name a"
            f" folder in its place by --pvc {claim}=FOLDER",
        )
    with ExitStack() as stack:
        yield _stream(uri, _beneath(uri, root, _path(uri, parts).lstrip("/"), stack))


def _path(uri: str, parts: SplitResult) -> str:
    if parts.query or parts.fragment:
        raise unusable(f"{uri}: write ? as %3F and # as %23 in a path")
    path = unquote(parts.path)
    if "\0" in path:
        raise unusable(f"{uri} holds a null byte: correct the path")
    return path


def _opened(uri: str, path: str | Path, stack: ExitStack, folder: int | None = None) -> int:
    flags = READ if folder is None else READ | os.O_NOFOLLOW
    try:
        handle = os.open(path, flags, dir_fd=folder)
    except OSError as error:
        raise _failed(uri, error) from error
    stack.callback(os.close, handle)
    return handle


def _beneath(uri: str, root: Path, path: str, stack: ExitStack) -> int:
    """Open a file below a folder.

    Links are resolved once, which Kubernetes' own volumes are full of, and the outcome is then
    opened part by part without following any: nobody can put one in between.
    """
    real = os.path.realpath(root)
    target = os.path.realpath(Path(real) / path)
    if not Path(target).is_relative_to(real):
        raise ArtifactError(
            ConditionReason.ACCESS_DENIED, f"{uri} leads out of its volume: name a file inside it"
        )
    handle = _opened(uri, real, stack)
    for part in Path(target).relative_to(real).parts:
        handle = _opened(uri, part, stack, handle)
    return handle


def _stream(uri: str, handle: int) -> Stream:
    found = os.fstat(handle)
    if stat.S_ISDIR(found.st_mode):
        raise unusable(f"{uri}: Is a directory: name a file")
    if not stat.S_ISREG(found.st_mode):
        raise unusable(f"{uri} is not a regular file")
    return Stream(_pieces(uri, handle), size=found.st_size)


def _pieces(uri: str, handle: int) -> Pieces:
    buffer = memoryview(bytearray(CHUNK))
    while True:
        try:
            count = os.readv(handle, [buffer])
        except OSError as error:
            raise _failed(uri, error) from error
        if not count:
            return
        yield buffer[:count]


def _failed(uri: str, error: OSError) -> ArtifactError:
    denied = isinstance(error, PermissionError)
    reason = ConditionReason.ACCESS_DENIED if denied else ConditionReason.SOURCE_NOT_FOUND
    return ArtifactError(reason, f"{uri}: {error.strerror} ({error.filename or 'while reading'})")
