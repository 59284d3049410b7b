"""The request line: method, target and version, in exactly one spelling."""

import re
from dataclasses import dataclass
from typing import Final

from tiltyard_engine.http.refusals import malformed

_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+(?P<rest>.*)", re.IGNORECASE)
_BEGINNING: Final = 1024
"""Bytes of a request of which its path is told where more of it cannot be read."""
_VERSIONS: Final = ((b"1.1", True), (b"1.0", False))


@dataclass(slots=True)
class RequestLine:
    """The first line of a request.

    Attributes:
        path: the target before `?`; of an absolute target, what follows the authority.
        query: the target after `?`, or empty.
        is_1_1: whether the version is 1.1 rather than 1.0.

    """

    method: str
    path: str
    query: str
    is_1_1: bool


def judge_line(line: bytes, method: bytes, target: bytes) -> RequestLine:
    """Hold the line against the method and target that httptools found in it.

    httptools takes several spaces for one, and HTTP/0.9, HTTP/2.0, RTSP and ICE for versions.

    Raises:
        Refusal: when the line is not these two, single spaces and HTTP/1.1 or HTTP/1.0.

    """
    if method == b"CONNECT":
        raise malformed("CONNECT is for proxies and this is none; use POST")
    for version, is_1_1 in _VERSIONS:
        if line == b"%b %b HTTP/%b" % (method, target, version):
            path, query = _split(method, target)
            return RequestLine(method.decode("ascii"), path, query, is_1_1)
    raise malformed("the request line is not 'METHOD target HTTP/1.1'")


def path_begun(data: bytes) -> str:
    """Path that a request which never became whole was for, as far as it came."""
    parts = data[:_BEGINNING].partition(b"\r\n")[0].split(b" ")
    target = parts[1] if len(parts) > 1 else b""
    absolute = _ABSOLUTE.fullmatch(target)
    path = (absolute["rest"] if absolute else target).partition(b"?")[0]
    return path.decode("latin-1")


def _split(method: bytes, target: bytes) -> tuple[str, str]:
    if absolute := _ABSOLUTE.fullmatch(target):
        target = absolute["rest"]
        if not target.startswith(b"/"):
            target = b"/" + target
    elif not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        raise malformed("the request's target is neither a path nor an http address")
    path, _, query = target.decode("ascii").partition("?")
    return path, query
