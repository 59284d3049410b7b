"""What the frames of one connection mean: streams begun, fed and ended, windows, pings."""

import traceback
from collections.abc import Callable
from math import inf
from typing import Final

from tiltyard_engine.http2.blocks import Block, Heads, check_priority, fragment
from tiltyard_engine.http2.faults import Code, ConnectionFault, StreamFault
from tiltyard_engine.http2.fields import Head, check_trailers
from tiltyard_engine.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    MAX_WINDOW,
    Kind,
    frame,
    number,
    read_settings,
    reset,
    unpadded,
    window_update,
)
from tiltyard_engine.http2.patience import Patience
from tiltyard_engine.http2.sending import Sender
from tiltyard_engine.http2.service import MAX_STREAMS, Service
from tiltyard_engine.http2.streams import Stream
from tiltyard_engine.log import log

LEAVING: Final = b"leaving!"
"""Content of the ping whose answer says that the client knows that we leave."""

_BODIES: Final = 4
"""Largest messages that the unfinished requests of a connection may hold together."""

_CUT_OFF: Final = 1024
"""Streams that we ended early and whose remains are read past."""


class Session:
    """The streams of one connection.

    Attributes:
        streams: those that are not over, by their numbers.
        last: the newest that was begun.
        greeted: whether the client's settings have come.
        refusing: whether streams are not begun any more.
        block: a header block of which a part has come.

    """

    __slots__ = (
        "_credit",
        "_cut_off",
        "_heads",
        "_held",
        "_informed",
        "_room",
        "_sender",
        "_service",
        "_taken",
        "_unused",
        "block",
        "greeted",
        "last",
        "patience",
        "refusing",
        "streams",
    )

    def __init__(
        self,
        service: Service,
        sender: Sender,
        informed: Callable[[], None],
        unused: Callable[[], None],
    ) -> None:
        self._service = service
        self._sender = sender
        self._heads = Heads(service.limits)
        self._informed = informed  # the client knows that we leave
        self._unused = unused  # the last stream has ended
        self._cut_off: dict[int, None] = {}
        self._credit = service.window
        self._taken = 0  # of the credit, not yet given back
        self._held = 0  # bytes of unfinished requests
        self._room = _BODIES * service.limits.max_body
        self.patience = Patience()
        self.streams: dict[int, Stream] = {}
        self.last = 0
        self.greeted = False
        self.refusing = False
        self.block: Block | None = None

    def read(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        """Take one frame.

        Raises:
            ConnectionFault: the connection cannot go on.

        """
        try:
            if self.block is not None or not self.greeted:
                self._read_in_order(kind, flags, stream, content)
            elif kind == DATA:
                self._on_data(flags, stream, content)
            elif kind == HEADERS:
                self._on_headers(flags, stream, content)
            else:
                self.patience.spend(kind)
                on = _ON.get(kind)
                if on is not None:  # what is not known is read past
                    on(self, flags, stream, content)
        except StreamFault as fault:
            self._cut(fault)

    def lose(self) -> None:
        """Let the application forget every request."""
        streams, self.streams = self.streams, {}
        for stream in streams.values():
            self._lose(stream)

    def _read_in_order(self, kind: int, flags: int, stream: int, content: bytes) -> None:
        """Take a frame where only one kind can stand."""
        block = self.block
        if block is None:
            if kind != Kind.SETTINGS or flags & ACK:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame must be settings")
            self.greeted = True
            self._on_settings(flags, stream, content)
            return
        if kind != CONTINUATION or stream != block.stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a header block is interrupted")
        self.patience.spend(kind)
        block.add(content)
        if flags & END_HEADERS:
            self.block = None
            self._take_block(stream, block.joined(), last=bool(block.flags & END_STREAM))

    def _on_headers(self, flags: int, stream: int, content: bytes) -> None:
        if not stream & 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "requests have odd numbers")
        if flags & ~(END_STREAM | END_HEADERS):
            content = fragment(flags, stream, content)
        if flags & END_HEADERS:
            self._take_block(stream, content, last=bool(flags & END_STREAM))
        else:
            self.block = Block(stream, flags, self._service.limits.max_header_bytes)
            self.block.add(content)

    def _take_block(self, ident: int, block: bytes, *, last: bool) -> None:
        if ident <= self.last:
            self._take_trailers(ident, block, last=last)
            return
        self.last = ident
        head = self._heads.read(ident, block)
        if self.refusing or len(self.streams) >= MAX_STREAMS:
            raise StreamFault(ident, Code.REFUSED_STREAM)
        if last and head.length:
            raise StreamFault(ident, Code.PROTOCOL_ERROR)
        self._begin(Stream(ident, head, self._sender, self._close), head, last=last)

    def _begin(self, stream: Stream, head: Head, *, last: bool) -> None:
        self.streams[stream.ident] = stream
        stream.deadline = self._service.after(self._service.limits.body_timeout)
        try:
            stream.sink = self._service.handler(head, stream)
        except Exception:  # noqa: BLE001 - its client gets an answer, the others go on
            self._failed(stream)
            return
        if last and not stream.done:
            self._hand_over(stream, b"", last=True)

    def _take_trailers(self, ident: int, block: bytes, *, last: bool) -> None:
        """Take what may stand behind a request, and is of no use to anybody."""
        fields = self._heads.skip(block)
        stream = self.streams.get(ident)
        if stream is None or not stream.receiving:
            if ident in self._cut_off:
                return
            raise ConnectionFault(Code.STREAM_CLOSED, f"stream {ident} has been ended")
        check_trailers(ident, fields)
        if not last or stream.missing:
            raise StreamFault(ident, Code.PROTOCOL_ERROR)
        self._hand_over(stream, b"", last=True)

    def _on_data(self, flags: int, ident: int, content: bytes) -> None:
        size = len(content)
        self._spend_credit(size)
        if flags & ~END_STREAM:
            content = unpadded(flags, content)
        stream = self.streams.get(ident)
        if stream is None or not stream.receiving:
            self._pass_over(flags, ident)
            return
        last = bool(flags & END_STREAM)
        stream.count(size, len(content), last=last)
        if not last:
            self._hold(stream, len(content))
        self._hand_over(stream, content, last=last)

    def _spend_credit(self, size: int) -> None:
        """Count what has come; give it back when it is half of what may."""
        self._credit -= size
        if self._credit < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more content than there was room for")
        self._taken += size
        if self._taken > self._service.window // 2:
            self._sender.write(window_update(0, self._taken))
            self._credit += self._taken
            self._taken = 0

    def _pass_over(self, flags: int, ident: int) -> None:
        """Read past what comes late for a stream that we ended; nothing else may come."""
        self.patience.spend(DATA)
        if ident not in self._cut_off:
            if not ident or ident > self.last:
                raise ConnectionFault(Code.PROTOCOL_ERROR, f"stream {ident} was never begun")
            raise StreamFault(ident, Code.STREAM_CLOSED)
        if flags & END_STREAM:
            del self._cut_off[ident]

    def _hold(self, stream: Stream, size: int) -> None:
        """Bound what unfinished requests hold together."""
        if not size:
            self.patience.spend(DATA)
        self._held += size
        stream.held += size
        if self._held > self._room:
            raise StreamFault(stream.ident, Code.ENHANCE_YOUR_CALM)

    def _hand_over(self, stream: Stream, content: bytes, *, last: bool) -> None:
        if last:
            stream.receiving = False
            stream.deadline = inf
            self._held -= stream.held
            stream.held = 0
        try:
            stream.sink.take(content, last=last)
        except Exception:  # noqa: BLE001 - its client gets an answer, the others go on
            self._failed(stream)

    def _failed(self, stream: Stream) -> None:
        log("a handler failed", stream=stream.ident, error=traceback.format_exc())
        stream.reset(Code.INTERNAL_ERROR)

    def _cut(self, fault: StreamFault) -> None:
        """End a stream by the client's fault."""
        self.patience.spend(Kind.RST_STREAM)
        stream = self.streams.get(fault.stream)
        if stream is None:
            self._sender.write(reset(fault.stream, fault.code))
            self._remember(fault.stream)
        else:
            stream.reset(fault.code)
            stream.sink.lost()

    def _close(self, stream: Stream, code: Code | None) -> None:
        """Forget a stream that has been answered, or that was reset."""
        self.streams.pop(stream.ident, None)
        self._held -= stream.held
        stream.held = 0
        if code is None:
            self.patience.answered()
            code = Code.NO_ERROR if stream.receiving else None
        if code is not None:
            self._sender.write(reset(stream.ident, code))
            if stream.receiving and code is not Code.STREAM_CLOSED:
                self._remember(stream.ident)
        if not self.streams:
            self._unused()

    def _remember(self, ident: int) -> None:
        """Expect that more comes for a stream that we ended."""
        self._cut_off[ident] = None
        if len(self._cut_off) > _CUT_OFF:
            del self._cut_off[next(iter(self._cut_off))]

    def _lose(self, stream: Stream) -> None:
        stream.done = True
        self._held -= stream.held
        self._sender.forget(stream)
        try:
            stream.sink.lost()
        except Exception:  # noqa: BLE001 - the others are to be told too
            log("a handler failed", stream=stream.ident, error=traceback.format_exc())

    def _on_priority(self, _flags: int, stream: int, content: bytes) -> None:
        if not stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the connection has no priority")
        check_priority(stream, content)

    def _on_reset(self, _flags: int, ident: int, content: bytes) -> None:
        number(content)
        if not ident or ident > self.last:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"stream {ident} was never begun")
        self._cut_off.pop(ident, None)
        stream = self.streams.pop(ident, None)
        if stream is not None:
            self._lose(stream)
            if not self.streams:
                self._unused()

    def _on_settings(self, flags: int, stream: int, content: bytes) -> None:
        if stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "settings are the connection's")
        if flags & ACK:
            if content:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "an acknowledgement is empty")
            return
        grown = self._sender.set(read_settings(content))
        for one in self.streams.values():
            one.window += grown
            if one.window > MAX_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window of more than 2^31-1 bytes")
        self._sender.write(frame(Kind.SETTINGS, ACK, 0))
        self._sender.pump()

    def _on_push(self, _flags: int, _stream: int, _content: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "clients do not push")

    def _on_ping(self, flags: int, stream: int, content: bytes) -> None:
        if stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "pings are the connection's")
        if len(content) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a ping has eight bytes")
        if not flags & ACK:
            self._sender.write(frame(Kind.PING, ACK, 0, content))
        elif content == LEAVING:
            self._informed()

    def _on_goaway(self, _flags: int, stream: int, _content: bytes) -> None:
        """Let a client leave: it closes when it has its answers."""
        if stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "leaving is the connection's")

    def _on_window(self, _flags: int, ident: int, content: bytes) -> None:
        count = number(content)
        if not ident:
            self._sender.widen(count)
            self._sender.pump()
            return
        stream = self.streams.get(ident)
        if stream is None:
            if ident > self.last:
                raise ConnectionFault(Code.PROTOCOL_ERROR, f"stream {ident} was never begun")
            return
        stream.widen(count)

    def _on_continuation(self, _flags: int, _stream: int, _content: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "there is no header block to continue")


_ON: Final = {
    int(Kind.PRIORITY): Session._on_priority,  # noqa: SLF001 - the methods of this very class
    int(Kind.RST_STREAM): Session._on_reset,  # noqa: SLF001 - likewise
    int(Kind.SETTINGS): Session._on_settings,  # noqa: SLF001 - likewise
    int(Kind.PUSH_PROMISE): Session._on_push,  # noqa: SLF001 - likewise
    int(Kind.PING): Session._on_ping,  # noqa: SLF001 - likewise
    int(Kind.GOAWAY): Session._on_goaway,  # noqa: SLF001 - likewise
    int(Kind.WINDOW_UPDATE): Session._on_window,  # noqa: SLF001 - likewise
    int(Kind.CONTINUATION): Session._on_continuation,  # noqa: SLF001 - likewise
}
