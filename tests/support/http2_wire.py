"""An HTTP/2 connection of ours without a socket, and applications that answer on it."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from hyperframe.frame import Frame, HeadersFrame, SettingsFrame
from typing_extensions import override

from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http2.connection import Connection
from tiltyard_engine.http2.faults import Code
from tiltyard_engine.http2.fields import Head
from tiltyard_engine.http2.frames import PREFACE
from tiltyard_engine.http2.hpack import STATUS_200, literal
from tiltyard_engine.http2.service import Service
from tiltyard_engine.http2.streams import Sink, Stream

HELLO = PREFACE + SettingsFrame(0).serialize()
REQUEST = b"".join(
    literal(name, value)
    for name, value in (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", b"/"),
        (b":authority", b"x"),
    )
)


class Echo:
    """Answers with what came: the fields as `e-NAME` in brackets, then the content."""

    def __init__(self, head: Head, stream: Stream) -> None:
        self.head = head
        self.stream = stream
        self.content = b""
        self.expired = False
        self.gone = False

    def take(self, piece: bytes, *, last: bool) -> None:
        self.content += piece
        self.stream.release(len(piece))
        if last:
            named = (
                literal(b"e-" + name, b"<%b>" % value) for name, value in self.head.headers.items()
            )
            head = STATUS_200 + literal(b"path", self.head.path) + b"".join(named)
            self.stream.answer(head, self.content, literal(b"end", b"1"))

    def drained(self) -> None:
        """Nothing waits."""

    def expire(self) -> None:
        self.expired = True
        self.stream.reset(Code.CANCEL)

    def lost(self) -> None:
        self.gone = True


class Silent(Echo):
    """Takes requests and answers none."""

    @override
    def take(self, piece: bytes, *, last: bool) -> None:
        """Keep nothing."""


class Wire(asyncio.Transport):
    """Plays the client's socket and the kernel; keeps what the server sends."""

    def __init__(
        self,
        application: Callable[[Head, Stream], Sink] = Echo,
        limits: Limits | None = None,
    ) -> None:
        super().__init__()
        self.sent = b""
        self.total = 0
        self.ended = False
        self.aborted = False
        self.begun: list[Any] = []
        self._application = application
        self.service = Service(self._begin, limits or Limits())
        self.connection = Connection(self.service)
        self.connection.connection_made(self)

    def feed(self, *pieces: bytes) -> None:
        """Let the pieces arrive, one by one, while the server listens."""
        for piece in pieces:
            if piece and not self.ended:
                self.connection.data_received(piece)

    def wait(self, seconds: float) -> None:
        """Let time pass, as sweeps tell it."""
        until = self.service.now + seconds
        while self.service.now < until:
            self.service.sweep(self.service.pause)

    def taken(self) -> bytes:
        """Take what the server has sent."""
        sent, self.sent = self.sent, b""
        return sent

    def frames(self) -> list[Frame]:
        """Take what the server has sent, as another program reads it."""
        return list(parsed(self.taken()))

    def _begin(self, head: Head, stream: Stream) -> Sink:
        sink = self._application(head, stream)
        self.begun.append(sink)
        return sink

    @override
    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        self.sent += data
        self.total += len(data)

    @override
    def write_eof(self) -> None:
        self.ended = True

    @override
    def abort(self) -> None:
        self.ended = self.aborted = True

    @override
    def is_closing(self) -> bool:
        return self.aborted

    @override
    def pause_reading(self) -> None:
        """Nothing: the tests choose what arrives."""

    @override
    def resume_reading(self) -> None:
        """Nothing."""


def parsed(data: bytes) -> Iterable[Frame]:
    """Read frames by hyperframe."""
    view = memoryview(data)
    while view:
        frame, length = Frame.parse_frame_header(view[:9])
        frame.parse_body(view[9 : 9 + length])
        yield frame
        view = view[9 + length :]


def asking(stream: int, *flags: str, block: bytes = REQUEST) -> bytes:
    """Write the beginning of a request."""
    return bytes(HeadersFrame(stream, block, flags=["END_HEADERS", *flags]).serialize())
