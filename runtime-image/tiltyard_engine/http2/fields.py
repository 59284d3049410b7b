"""Fields of a request as the application knows them, once they are as they must be."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from tiltyard_engine.http2.faults import Code, StreamFault
from tiltyard_engine.http2.hpack import Field

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
_VALUE: Final = re.compile(rb"(?![\t ])[^\x00\r\n]*(?<![\t ])|")
_PSEUDO: Final = frozenset({b":method", b":scheme", b":authority", b":path"})
_NEEDED: Final = (b":method", b":scheme", b":path")
_OF_CONNECTIONS: Final = frozenset(
    {b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade"}
)
_DIGITS: Final = 20


@dataclass(slots=True)
class Head:
    """What a request says before its content. Shared between requests, and not to be changed.

    Attributes:
        headers: values of a repeated name are joined with `, `.
        length: bytes of content that are announced; None where nothing is said.
        too_large: whether there were more fields than are wanted; some are missing then.
        judged: what the application made of it, for the next request with the same.

    """

    method: bytes
    path: bytes
    headers: Mapping[bytes, bytes]
    length: int | None
    too_large: bool
    judged: object = None


def read_head(stream: int, fields: list[Field], *, too_large: bool) -> Head:
    """Judge the fields that begin a request (RFC 9113, 8.2 and 8.3).

    Raises:
        StreamFault: no such request can be.

    """
    pseudo: dict[bytes, bytes] = {}
    headers: dict[bytes, bytes] = {}
    for name, value in fields:
        if name in _PSEUDO and not headers and name not in pseudo:
            pseudo[name] = value
        elif _plain(name, value):
            headers[name] = headers[name] + b", " + value if name in headers else value
        else:
            raise StreamFault(stream, Code.PROTOCOL_ERROR)
    if too_large:
        return Head(b"", b"", {}, None, too_large=True)
    length = headers.get(b"content-length")
    if not all(pseudo.get(name) for name in _NEEDED) or not _is_length(length):
        raise StreamFault(stream, Code.PROTOCOL_ERROR)
    announced = None if length is None else int(length)
    return Head(pseudo[b":method"], pseudo[b":path"], headers, announced, too_large=False)


def check_trailers(stream: int, fields: list[Field]) -> None:
    """Judge the fields that end a request; nobody reads them.

    Raises:
        StreamFault: they cannot stand there.

    """
    if not all(_plain(name, value) for name, value in fields):
        raise StreamFault(stream, Code.PROTOCOL_ERROR)


def _plain(name: bytes, value: bytes) -> bool:
    if name in _OF_CONNECTIONS or (name == b"te" and value != b"trailers"):
        return False
    return bool(_NAME.fullmatch(name) and _VALUE.fullmatch(value))


def _is_length(value: bytes | None) -> bool:
    return value is None or (value.isdigit() and len(value) <= _DIGITS)
