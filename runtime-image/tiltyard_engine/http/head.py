"""The request line and the headers: bounded, parsed by httptools, judged strictly, remembered.

httptools (llhttp) decides what is well-formed. On top of it stand the rules that keep two programs
from seeing two different requests in the same bytes: one framing, one Host, one spelling of the
request line. Only whole heads reach the parser, each a fresh one, so nothing is left over from one
request to the next.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.refusals import (
    body_too_large,
    head_too_large,
    malformed,
    target_too_long,
    too_many_headers,
)

END_OF_HEAD: Final = b"\r\n\r\n"
CHUNKED: Final = -1
"""In place of a length: the body says itself where it ends."""

KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
CLOSE: Final = b"Connection: close\r\n"

_REMEMBERED_HEADS: Final = 512
_REMEMBERED_BYTES: Final = 2048  # a longer head is judged anew each time: 1 MiB of memory at most

_LINE_WITHOUT_TARGET: Final = 32  # the longest method that llhttp knows, spaces and version
_ABSOLUTE: Final = re.compile(rb"https?://[^/?#]+(?P<rest>.*)", re.IGNORECASE)
_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_PADDING: Final = b" \t"


@dataclass(slots=True, frozen=True)
class Head:
    """What a request says before its body.

    Attributes:
        length: bytes of the body, or `CHUNKED`.
        plain_length: `length` where the body may be handed on as it comes, else -1.
        encoding: the Content-Encoding, lower-cased; empty for none.
        expects: whether the client waits for `100 Continue` before it sends the body.
        keep_alive: whether the connection may carry another request.
        persistence: the header line that tells a client so, where it must be told.
        bodiless: whether the answer must not carry its body (HEAD).

    """

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    length: int = 0
    plain_length: int = 0
    encoding: bytes = b""
    expects: bool = False
    keep_alive: bool = True
    persistence: bytes = b""
    bodiless: bool = False


NO_HEAD: Final = Head("", "", "", {}, keep_alive=False, persistence=CLOSE)
"""Stands in for the head of a request that was refused before it had one."""


class _Parts:
    """What httptools finds in one head."""

    __slots__ = ("complete", "headers", "hosts", "target")

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.hosts = 0
        self.complete = False

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip(_PADDING)  # llhttp strips in front only
        if name == b"host":
            self.hosts += 1
        if name in self.headers:
            value = self.headers[name] + b", " + value
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.complete = True


class HeadReader:
    """Turns whole heads into `Head`, within limits.

    Clients on keep-alive send the same head again and again, so the verdict on recent ones is
    remembered by their exact bytes: parsing happens once, not once per request.
    """

    __slots__ = ("_limits", "known")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.known: dict[bytes, Head] = {}

    def read(self, block: bytes) -> Head:
        """Judge one head, from its first byte to the empty line that ends it.

        Raises:
            Refusal: when it is malformed, too large, or announces a body that is.

        """
        head = self.known.get(block)
        if head is None:
            self._check_size(block)
            head = _judge(block, self._limits)
            if len(block) <= _REMEMBERED_BYTES:
                if len(self.known) >= _REMEMBERED_HEADS:
                    self.known.clear()
                self.known[block] = head
        return head

    def check_beginning(self, block: bytes) -> None:
        """Refuse the beginning of a head as soon as no continuation could save it."""
        self._check_size(block)
        if _BARE_LINE_END.search(block):
            raise malformed("a line of the request's head ends without CR LF")

    def _check_size(self, block: bytes) -> None:
        limits = self._limits
        line_end = block.find(b"\r\n")
        if (len(block) if line_end < 0 else line_end) > limits.max_uri + _LINE_WITHOUT_TARGET:
            raise target_too_long(limits)
        if len(block) > limits.max_header_bytes:
            raise head_too_large(limits)
        if block.count(b"\r\n") - 2 > limits.max_header_count:
            raise too_many_headers(limits)


def _judge(block: bytes, limits: Limits) -> Head:
    parts, method = _parse(block)
    if len(parts.target) > limits.max_uri:
        raise target_too_long(limits)
    is_1_1 = _check_request_line(block, method, parts.target)
    _check_host(parts, is_1_1=is_1_1)
    path, query = _split_target(method, parts.target)
    length = _body_length(parts.headers, limits, is_1_1=is_1_1)
    encoding = parts.headers.get(b"content-encoding", b"").lower()
    keep_alive = _keeps_alive(parts.headers, is_1_1=is_1_1)
    return Head(
        method.decode("ascii"),
        path,
        query,
        parts.headers,
        length=length,
        plain_length=-1 if encoding else length,
        encoding=encoding,
        expects=is_1_1 and parts.headers.get(b"expect", b"").lower() == b"100-continue",
        keep_alive=keep_alive,
        persistence=b"" if keep_alive and is_1_1 else KEEP_ALIVE if keep_alive else CLOSE,
        bodiless=method == b"HEAD",
    )


def _parse(block: bytes) -> tuple[_Parts, bytes]:
    parts = _Parts()
    parser = HttpRequestParser(parts)
    try:
        parser.feed_data(block)
    except HttpParserUpgrade:
        pass  # RFC 9110, 7.8: a server may ignore Upgrade; the head is complete all the same
    except HttpParserError as error:
        raise malformed(f"the request is not valid HTTP/1.1 ({error})") from error
    if not parts.complete:
        raise malformed("the request is not valid HTTP/1.1 (its head is incomplete)")
    return parts, parser.get_method()


def _check_request_line(block: bytes, method: bytes, target: bytes) -> bool:
    """Say whether the version is 1.1, having refused everything but 1.0 and single spaces."""
    if method == b"CONNECT":
        raise malformed("CONNECT is for proxies and this is none; use POST")
    line = block[: block.index(b"\r\n")]
    for version, is_1_1 in ((b"1.1", True), (b"1.0", False)):
        if line == b"%b %b HTTP/%b" % (method, target, version):
            return is_1_1
    raise malformed("the request line is not 'METHOD target HTTP/1.1'")


def _check_host(parts: _Parts, *, is_1_1: bool) -> None:
    if parts.hosts > 1:
        raise malformed("the request has more than one Host header; send one")
    if is_1_1 and not parts.hosts:
        raise malformed("the request has no Host header; HTTP/1.1 needs one")
    if not _HOST.fullmatch(parts.headers.get(b"host", b"")):
        raise malformed("the Host header is not a host name and port")


def _split_target(method: bytes, target: bytes) -> tuple[str, str]:
    if absolute := _ABSOLUTE.fullmatch(target):
        target = absolute["rest"]
        if not target.startswith(b"/"):
            target = b"/" + target
    elif not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        raise malformed("the request's target is neither a path nor an http address")
    path, _, query = target.decode("ascii").partition("?")
    return path, query


def _body_length(headers: dict[bytes, bytes], limits: Limits, *, is_1_1: bool) -> int:
    coding = headers.get(b"transfer-encoding")
    length = headers.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise malformed("the request has both Content-Length and Transfer-Encoding; send one")
        if not is_1_1 or coding.lower() != b"chunked":
            raise malformed("the only Transfer-Encoding is 'chunked', with HTTP/1.1")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdigit():
        raise malformed("Content-Length is not a number")
    if int(length) > limits.max_body:
        raise body_too_large(limits)
    return int(length)


def _keeps_alive(headers: dict[bytes, bytes], *, is_1_1: bool) -> bool:
    options = [option.strip() for option in headers.get(b"connection", b"").lower().split(b",")]
    return b"close" not in options and (is_1_1 or b"keep-alive" in options)
