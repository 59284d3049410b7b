"""The request line and the headers: bounded, parsed by httptools, judged strictly, remembered.

httptools (llhttp) decides what is well-formed. On top of it stand the rules that keep two programs
from seeing two different requests in the same bytes: one framing, one Host, one spelling of the
request line. Only whole heads reach the parser, each a fresh one, so nothing is left over from one
request to the next.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Request
from tiltyard_engine.http.refusals import (
    body_too_large,
    head_too_large,
    malformed,
    target_too_long,
    too_many_headers,
)
from tiltyard_engine.http.target import RequestLine, judge_line

END_OF_HEAD: Final = b"\r\n\r\n"
CHUNKED: Final = -1
"""In place of a length: the body says itself where it ends."""

KEEP_ALIVE: Final = b"Connection: keep-alive\r\n"
CLOSE: Final = b"Connection: close\r\n"

_REMEMBERED: Final = 128  # measured: four times as many fall out of the processor's cache
_REMEMBERED_BYTES: Final = 2048  # a longer head is judged anew each time

_LINE_WITHOUT_TARGET: Final = 32  # the longest method that llhttp knows, spaces and version
_HOST: Final = re.compile(rb"[A-Za-z0-9._~%!$&'()*+,;=:\[\]-]*")
_BARE_LINE_END: Final = re.compile(rb"(?<!\r)\n|\r(?=[^\n])")
_PADDING: Final = b" \t"
_DIGITS: Final = 20  # more is an attack on whoever converts them

_Judged = TypeVar("_Judged")


@dataclass(slots=True)
class Head:
    """What a request says before its body. Shared between requests, and not to be changed.

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

    def request(self, body: bytes) -> Request:
        """Make the request of which this is the head."""
        return Request(self.method, self.path, self.query, self.headers, body)


NO_HEAD: Final = Head("", "", "", {}, keep_alive=False, persistence=CLOSE)
"""Stands in for the head of a request that was refused before it had one."""


class _Parts:
    """What httptools finds in one head."""

    __slots__ = ("complete", "headers", "hosts", "target")

    on_message_begin = on_message_complete = on_body = None  # found at once, and not wanted
    on_chunk_header = on_chunk_complete = on_status = None

    def __init__(self) -> None:
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.hosts = 1
        self.complete = False

    def on_url(self, target: bytes) -> None:
        self.target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        value = value.rstrip(_PADDING)  # llhttp strips in front only
        if name in self.headers:
            self.hosts += name == b"host"
            value = self.headers[name] + b", " + value
        self.headers[name] = value

    def on_headers_complete(self) -> None:
        self.complete = True


class _Memory(dict[bytes, _Judged], Generic[_Judged]):
    """Verdicts on recent bytes; forgets all of them when it is full, which is cheap and enough."""

    __slots__ = ()

    def keep(self, key: bytes, verdict: _Judged) -> None:
        """Remember one verdict."""
        if len(key) <= _REMEMBERED_BYTES:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[key] = verdict


class HeadReader:
    """Turns whole heads into `Head`, within limits.

    Clients on keep-alive send the same head again and again, so the verdict on recent ones is
    remembered by their exact bytes: parsing happens once, not once per request. Heads that carry
    an id of their own are new each time; their first line is not.
    """

    __slots__ = ("_limits", "_lines", "known")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lines: _Memory[RequestLine] = _Memory()
        self.known: _Memory[Head] = _Memory()

    def read(self, block: bytes) -> Head:
        """Judge one head, from its first byte to the empty line that ends it.

        Raises:
            Refusal: when it is malformed, too large, or announces a body that is.

        """
        head = self.known.get(block)
        if head is None:
            self._check_size(block)
            head = self._judge(block)
            self.known.keep(block, head)
        return head

    def try_read(self, block: bytes) -> Head | None:
        """Judge what may be a head; None where `read` is to say why it is none."""
        try:
            return self.read(block) if block.endswith(END_OF_HEAD) else None
        except Refusal:
            return None

    def check_beginning(self, block: bytes) -> None:
        """Refuse the beginning of a head as soon as no continuation could save it."""
        self._check_size(block)
        if _BARE_LINE_END.search(block):
            raise malformed("a line of the request's head ends without CR LF")

    def _check_size(self, block: bytes) -> None:
        limits = self._limits
        if len(block) > limits.max_uri:
            line_end = block.find(b"\r\n")
            length = len(block) if line_end < 0 else line_end
            if length > limits.max_uri + _LINE_WITHOUT_TARGET:
                raise target_too_long(limits)
        if len(block) > limits.max_header_bytes:
            raise head_too_large(limits)
        if block.count(b"\r\n") - 2 > limits.max_header_count:
            raise too_many_headers(limits)

    def _judge(self, block: bytes) -> Head:
        parts, method = _parse(block)
        if len(parts.target) > self._limits.max_uri:
            raise target_too_long(self._limits)
        text = block[: block.index(b"\r\n")]
        line = self._lines.get(text)
        if line is None:
            line = judge_line(text, method, parts.target)
            self._lines.keep(text, line)
        headers = parts.headers
        _check_host(parts, line)
        length = _body_length(headers, line, self._limits)
        encoding = headers[b"content-encoding"].lower() if b"content-encoding" in headers else b""
        keep_alive = _keeps_alive(headers, line)
        return Head(
            line.method,
            line.path,
            line.query,
            headers,
            length,
            -1 if encoding else length,
            encoding,
            _expects(headers, line),
            keep_alive,
            b"" if keep_alive and line.is_1_1 else KEEP_ALIVE if keep_alive else CLOSE,
            line.method == "HEAD",
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


def _check_host(parts: _Parts, line: RequestLine) -> None:
    host = parts.headers.get(b"host")
    if host is None:
        if line.is_1_1:
            raise malformed("the request has no Host header; HTTP/1.1 needs one")
    elif parts.hosts > 1:
        raise malformed("the request has more than one Host header; send one")
    elif not _HOST.fullmatch(host):
        raise malformed("the Host header is not a host name and port")


def _body_length(headers: dict[bytes, bytes], line: RequestLine, limits: Limits) -> int:
    length = headers.get(b"content-length")
    if b"transfer-encoding" in headers:
        if length is not None:
            raise malformed("the request has both Content-Length and Transfer-Encoding; send one")
        if not line.is_1_1 or headers[b"transfer-encoding"].lower() != b"chunked":
            raise malformed("the only Transfer-Encoding is 'chunked', with HTTP/1.1")
        return CHUNKED
    if length is None:
        return 0
    if not length.isdigit() or len(length) > _DIGITS:
        raise malformed(f"Content-Length is not a number of at most {_DIGITS} digits")
    if int(length) > limits.max_body:
        raise body_too_large(limits)
    return int(length)


def _keeps_alive(headers: dict[bytes, bytes], line: RequestLine) -> bool:
    connection = headers.get(b"connection")
    if connection is None:
        return line.is_1_1
    options = [option.strip(_PADDING) for option in connection.lower().split(b",")]
    return b"close" not in options and (line.is_1_1 or b"keep-alive" in options)


def _expects(headers: dict[bytes, bytes], line: RequestLine) -> bool:
    return b"expect" in headers and line.is_1_1 and headers[b"expect"].lower() == b"100-continue"
