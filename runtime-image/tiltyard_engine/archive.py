"""Unpacks the zip of a model into plain files of our own, or says why it is not to be trusted.

What an archive says of itself is not believed: names are taken only if they stay below the folder,
only plain files and folders are made, and the bytes are counted as they come.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.base import CHUNK, ArtifactError

HEADS = (b"PK\3\4", b"PK\5\6")
"""How a zip starts, one without any file too."""

MOST_FILES = 10_000
MOST_DIRECTORY = 4 << 20
"""Bytes of the list of files, which is read whole."""

MOST_RATIO = 100
"""Bytes that one byte may unpack to, over the whole archive; weights reach 10, texts 20."""

FREE_BYTES = 64 << 20
"""Bytes that any archive may unpack to, whatever their ratio."""

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""The others take as much memory as an archive asks for."""

ENCRYPTED = 0x1
END, END64, LOCATOR64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
END_BYTES, END64_BYTES, LOCATOR_BYTES, COMMENT_BYTES = 22, 56, 20, 0xFFFF
FULL16, FULL32 = 0xFFFF, 0xFFFFFFFF


@dataclass(slots=True)
class _Budget:
    """Bytes that may still come out."""

    left: int

    def take(self, count: int) -> None:
        """Count what came out."""
        self.left -= count
        if self.left < 0:
            raise _unsafe(
                f"unpacks to more than {MOST_RATIO} times its size, or to more than is fetched:"
                " pack what the model needs only"
            )


def is_archive(path: Path) -> bool:
    """Whether a file is a zip, as far as its first bytes tell."""
    with path.open("rb") as file:
        return file.read(4) in HEADS


def unpack(path: Path, folder: Path, most: int) -> None:
    """Unpack a zip.

    Args:
        path: the archive.
        folder: an empty folder.
        most: bytes that all its files may have together.

    Raises:
        ArtifactError: it is damaged, or holds what no model needs; the message goes on after its
            name.
        OSError: the folder cannot be written to.

    """
    size = path.stat().st_size
    budget = _Budget(min(most, max(FREE_BYTES, size * MOST_RATIO)))
    with _told(), path.open("rb") as file:
        _check_directory(file, size)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member, name in zip(members, _names(members), strict=True):
                target = folder / name
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    _extract(archive, member, target, budget)


def _names(members: list[zipfile.ZipInfo]) -> list[PurePosixPath]:
    """Paths of all members, judged before anything is written."""
    names = [_name(member) for member in members]
    files = [name for name, member in zip(names, members, strict=True) if not member.is_dir()]
    if len(set(files)) < len(files) or set(files) & {p for name in names for p in name.parents}:
        raise _unsafe("holds a file twice, or a file that is a folder too: pack it anew")
    return names


def _name(member: zipfile.ZipInfo) -> PurePosixPath:
    name, mode = member.orig_filename, member.external_attr >> 16
    parts = name.removesuffix("/").split("/")
    if (
        not name.isprintable()
        or "\\" in name
        or ":" in parts[0]
        or any(part in ("", ".", "..") or len(part.encode()) > 255 for part in parts)
        or len(parts) > 32
    ):
        raise _unsafe(f"holds {name[:80]!r}, which is no plain path below it: pack it anew")
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _unsafe(f"holds {name[:80]!r}, which is a link or a device: pack the file itself")
    if member.flag_bits & ENCRYPTED or member.compress_type not in METHODS:
        raise _unsafe(f"holds {name[:80]!r} encrypted, or packed otherwise than deflated")
    return PurePosixPath(name)


def _extract(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, budget: _Budget
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o644), "wb") as copy, archive.open(member) as packed:
        while piece := packed.read(CHUNK):
            budget.take(len(piece))
            copy.write(piece)


def _check_directory(file: IO[bytes], size: int) -> None:
    """Judge how long the list of files is, before it is read into memory."""
    start = max(size - END_BYTES - COMMENT_BYTES - LOCATOR_BYTES, 0)
    file.seek(start)
    tail = file.read()
    end = tail.rfind(END)
    if end < 0:
        raise zipfile.BadZipFile
    count, directory = struct.unpack_from("<HL", tail, end + 10)
    if (
        count == FULL16
        or directory == FULL32
        or tail[max(end - LOCATOR_BYTES, 0) :][:4] == LOCATOR64
    ):
        (place,) = struct.unpack_from("<Q", tail, end - LOCATOR_BYTES + 8)
        file.seek(min(place, size))
        record = file.read(END64_BYTES)
        if record[:4] != END64:
            raise zipfile.BadZipFile
        count, directory = struct.unpack_from("<QQ", record, 32)
    if count > MOST_FILES or directory > MOST_DIRECTORY:
        raise _unsafe(f"holds more than {MOST_FILES} files: pack what the model needs only")


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        NotImplementedError,
        UnicodeError,
        ValueError,
    ) as error:
        raise ArtifactError(
            ConditionReason.NOT_A_MODEL, "is a damaged zip: pack and upload it anew"
        ) from error


def _unsafe(message: str) -> ArtifactError:
    return ArtifactError(ConditionReason.UNSAFE_ARCHIVE, message)
