"""Zips, good ones and such as nobody should unpack."""

import io
import stat
import struct
import zipfile
from collections.abc import Mapping


def packed(files: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Pack files under the names that are given, whatever they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compress_type=method)
    return buffer.getvalue()


def special(name: str, kind: int, data: bytes = b"") -> bytes:
    """Pack an entry of some kind: `stat.S_IFLNK`, `stat.S_IFCHR`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.create_system = 3
        entry.external_attr = (kind | 0o777) << 16
        archive.writestr(entry, data)
    return buffer.getvalue()


def link(name: str, target: str) -> bytes:
    """Pack a symbolic link."""
    return special(name, stat.S_IFLNK, target.encode())


def bomb(unpacked: int) -> bytes:
    """Pack zeros that are that long when unpacked."""
    buffer, entry = io.BytesIO(), zipfile.ZipInfo("zeros")
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(buffer, "w") as archive, archive.open(entry, "w") as file:
        for _ in range(unpacked >> 20):
            file.write(bytes(1 << 20))
    return buffer.getvalue()


def overlapping(copies: int, unpacked: int) -> bytes:
    """Let many entries share the same packed bytes, so that little says much."""
    kernel = bomb(unpacked)
    end = kernel.rindex(b"PK\5\6")
    start = struct.unpack_from("<L", kernel, end + 16)[0]
    entry = kernel[start:end]
    entries = b"".join(
        entry.replace(b"zeros", f"z{number:04}".encode()) for number in range(copies)
    )
    return (
        kernel[:start]
        + entries
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, copies, copies, len(entries), start, 0)
    )


def crowded(count: int) -> bytes:
    """Pack that many empty files, without holding a thing of each."""
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, 0, 0, 0, 8, 0)
    central = struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, 0, 0, 0, 8, *[0] * 6)
    entries = b"".join(central + b"%08d" % number for number in range(count))
    head = local + b"00000000"
    place = len(head) + len(entries)
    end64 = struct.pack(
        "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(entries), len(head)
    )
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, place, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return head + entries + end64 + locator + end
