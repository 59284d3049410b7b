"""What a request says before its messages: which call it is, and how it is sent."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tiltyard_engine.grpc.metadata import Code
from tiltyard_engine.http2.fields import Head

_TYPE: Final = re.compile(rb"application/grpc(\+proto)?(;.*)?")
_TIMEOUT: Final = re.compile(rb"([0-9]{1,8})([HMSmun])")
_UNITS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_FOR_EVER: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Opening:
    """What follows from a head, for every request that has the same."""

    method: bytes
    timeout: float | None
    """Seconds that the client waits."""

    packed: bool
    """Whether messages may come compressed."""

    fault: "Fault | None"
    """Why there is no such call."""


class Fault(NamedTuple):
    """What is wrong with a head."""

    status: int
    """What it would be over HTTP; it is counted so."""

    code: Code
    details: str


def is_call(head: Head) -> bool:
    """Whether this is gRPC at all."""
    content_type = head.headers.get(b"content-type", b"")
    return head.too_large or (head.method == b"POST" and bool(_TYPE.fullmatch(content_type)))


def judge(head: Head, why_not: Callable[[bytes], str | None]) -> Opening:
    """Judge a head, or remember how one was judged.

    Args:
        head: of a call.
        why_not: says what is wrong with a method's path.

    """
    if not isinstance(head.judged, Opening):
        head.judged = _judge(head, why_not)
    return head.judged


def _judge(head: Head, why_not: Callable[[bytes], str | None]) -> Opening:
    encoding = head.headers.get(b"grpc-encoding", b"identity")
    timeout, fault = _timeout(head.headers)
    if head.too_large:
        fault = Fault(
            431, Code.RESOURCE_EXHAUSTED, "HeadersTooLarge: there is too much metadata: send less"
        )
    elif encoding not in (b"identity", b"gzip"):
        name = encoding.decode("latin-1")[:64]
        text = f"grpc-encoding {name!r} is not known: send messages as they are or with gzip"
        fault = Fault(415, Code.UNIMPLEMENTED, text)
    elif wrong := why_not(head.path):
        fault = Fault(404, Code.UNIMPLEMENTED, wrong)
    return Opening(head.path, timeout, encoding == b"gzip", fault)


def _timeout(headers: Mapping[bytes, bytes]) -> tuple[float | None, Fault | None]:
    value = headers.get(b"grpc-timeout")
    if value is None:
        return None, None
    found = _TIMEOUT.fullmatch(value)
    if found is None:
        text = "grpc-timeout is no number of at most eight digits and one of H, M, S, m, u, n"
        return None, Fault(400, Code.INVALID_ARGUMENT, text)
    seconds = int(found[1]) * _UNITS[found[2]]
    return (seconds if seconds < _FOR_EVER else None), None
