"""Between gRPC's words and ours: metadata and headers, codes and statuses, as header blocks."""

import enum
import re
from functools import lru_cache
from types import MappingProxyType
from typing import Final
from urllib.parse import quote

from tiltyard_engine.http2.hpack import STATUS_200, literal


class Code(enum.IntEnum):
    """How a call ended."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


CODES: Final = MappingProxyType(
    {
        400: Code.INVALID_ARGUMENT,
        404: Code.NOT_FOUND,
        408: Code.CANCELLED,
        413: Code.RESOURCE_EXHAUSTED,
        431: Code.RESOURCE_EXHAUSTED,
        500: Code.INTERNAL,
        503: Code.UNAVAILABLE,
        504: Code.DEADLINE_EXCEEDED,
    }
)
"""Code of a call for the status that the same refusal has over HTTP."""

ENCODINGS: Final = b"identity,gzip"
"""How messages may be packed that come to us."""

MAX_DETAILS: Final = 1000
"""Characters of a message that surely fit into a client's limit for metadata."""

HEAD: Final = (
    STATUS_200
    + literal(b"content-type", b"application/grpc")
    + literal(b"grpc-accept-encoding", ENCODINGS)
)
"""How every answer begins."""

DONE: Final = literal(b"grpc-status", b"0")
"""How an answer ends that is one."""

_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
_PLAIN: Final = re.compile(rb"[ -$&-~]*")


def written(lines: bytes) -> bytes:
    """Header lines of an answer as metadata; what that cannot hold is percent-encoded."""
    block = b""
    for line in lines.split(b"\r\n"):
        name, colon, value = line.partition(b": ")
        if colon:
            block += _name(name) + _value(value)
    return block


def refusal(code: Code, details: str, lines: bytes = b"") -> bytes:
    """Write the end of a call that has no answer."""
    message = _quoted(details[:MAX_DETAILS].encode())
    return (
        literal(b"grpc-status", b"%d" % code) + literal(b"grpc-message", message) + written(lines)
    )


@lru_cache(64)
def _name(name: bytes) -> bytes:
    """Write a field up to its value; our names are few."""
    return literal(name.lower(), b"")[:-1]


def _value(value: bytes) -> bytes:
    return literal(b"", _quoted(value))[2:]


def _quoted(value: bytes) -> bytes:
    return value if _PLAIN.fullmatch(value) else quote(value, safe=_PRINTABLE).encode()
