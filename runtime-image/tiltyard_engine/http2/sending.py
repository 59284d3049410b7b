"""What may be sent on a connection, and who waits to send."""

import asyncio
from typing import Protocol

from tiltyard_engine.http2.faults import Code, ConnectionFault
from tiltyard_engine.http2.frames import FIRST_WINDOW, MAX_FRAME, MAX_WINDOW, Setting


class Waiting(Protocol):
    """A stream, as those see it who let it send."""

    ident: int
    deadline: float

    def pump(self) -> bool:
        """Send what may be sent; say whether all of it is."""


class Sender:
    """The sending side of one connection.

    Attributes:
        first_window: bytes that a new stream may send.
        at_once: bytes of content that we put into one frame.
        window: bytes that all streams together may still send.
        blocked: whether the client does not read what we send.
        waiting: streams that have more to send than they may.

    """

    __slots__ = ("at_once", "blocked", "first_window", "transport", "waiting", "window", "write")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.write = transport.write
        self.first_window = FIRST_WINDOW
        self.at_once = MAX_FRAME
        self.window = FIRST_WINDOW
        self.blocked = False
        self.waiting: dict[int, Waiting] = {}

    def wait(self, stream: Waiting) -> None:
        """Let a stream go on as soon as it may."""
        self.waiting[stream.ident] = stream

    def forget(self, stream: Waiting) -> None:
        """Let a stream wait no more."""
        self.waiting.pop(stream.ident, None)

    def widen(self, count: int) -> None:
        """Take what the client lets all streams together send more.

        Raises:
            ConnectionFault: that is more than a window can hold, or nothing.

        """
        if not count:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a window was widened by nothing")
        self.window += count
        if self.window > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window of more than 2^31-1 bytes")

    def set(self, pairs: list[tuple[int, int]]) -> int:
        """Take the client's settings; say by how much the window of each stream has grown."""
        grown = 0
        for name, value in pairs:
            if name == Setting.INITIAL_WINDOW_SIZE:
                grown += value - self.first_window
                self.first_window = value
        return grown

    def time_waiting(self, deadline: float) -> None:
        """Give those a deadline that have none and wait for their client."""
        for stream in self.waiting.values():
            stream.deadline = min(stream.deadline, deadline)

    def pump(self) -> None:
        """Let those send who wait, in their order, as far as the windows go."""
        for ident, stream in list(self.waiting.items()):
            if self.window <= 0:
                return
            if stream.pump():
                self.waiting.pop(ident, None)
