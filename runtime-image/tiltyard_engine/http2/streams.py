"""One request and its answer on a connection that carries many."""

from collections.abc import Callable
from math import inf
from typing import Final, Protocol

from tiltyard_engine.http2.faults import Code, StreamFault
from tiltyard_engine.http2.fields import Head
from tiltyard_engine.http2.frames import (
    DATA,
    END_STREAM,
    MAX_WINDOW,
    frame,
    headers,
    window_update,
)
from tiltyard_engine.http2.sending import Sender

WINDOW: Final = 1 << 20
"""Bytes of a request that a client may send ahead of what the application has taken."""


class Sink(Protocol):
    """What the application does with a request. Is called in the loop's thread."""

    def take(self, piece: bytes, *, last: bool) -> None:
        """Take some of its content."""

    def drained(self) -> None:
        """Go on answering: what was sent has left."""

    def expire(self) -> None:
        """End it: the client did not send on, or did not take its answer, in time."""

    def lost(self) -> None:
        """Forget it: the client has gone, or does not want it any more."""


class Stream:
    """The application's end of one exchange.

    Attributes:
        ident: number of the stream.
        begun: whether a part of the answer has been sent.
        sink: who takes the request.
        credit: bytes that the client may still send before we let it send more.
        window: bytes that we may still send before the client lets us send more.
        receiving: whether the client has not yet ended its request.
        missing: bytes that were announced and have not come; None where nothing was announced.
        held: bytes that count as the unfinished request's.
        deadline: when `expire` is due, on the service's clock.

    """

    __slots__ = (
        "_close",
        "_rest",
        "_sender",
        "_tail",
        "_taken",
        "begun",
        "credit",
        "deadline",
        "done",
        "held",
        "ident",
        "missing",
        "receiving",
        "sink",
        "window",
    )

    sink: Sink

    def __init__(
        self, ident: int, head: Head, sender: Sender, close: Callable[["Stream", Code | None], None]
    ) -> None:
        self.ident = ident
        self.credit = WINDOW
        self.held = 0
        self.window = sender.first_window
        self.receiving = True
        self.missing = head.length
        self.deadline = inf
        self.done = False
        self.begun = False
        self._taken = 0
        self._rest = memoryview(b"")
        self._tail: bytes | None = None
        self._sender = sender
        self._close = close

    @property
    def writable(self) -> bool:
        """Whether the client takes what we send."""
        return not self._rest and not self._sender.blocked

    def count(self, size: int, content: int, *, last: bool) -> None:
        """Count what a frame of data brought, with its padding and without.

        Raises:
            StreamFault: it is more than the client may send, or not what it has announced.

        """
        self.credit -= size
        if self.credit < 0:
            raise StreamFault(self.ident, Code.FLOW_CONTROL_ERROR)
        if self.missing is not None:
            self.missing -= content
            if self.missing < 0 or (last and self.missing):
                raise StreamFault(self.ident, Code.PROTOCOL_ERROR)

    def release(self, count: int) -> None:
        """Let the client send as much as was taken."""
        self._taken += count
        if self._taken > WINDOW // 2 and self.receiving and not self.done:
            self._sender.write(window_update(self.ident, self._taken))
            self.credit += self._taken
            self._taken = 0

    def widen(self, count: int) -> None:
        """Take what the client lets us send more.

        Raises:
            StreamFault: that is more than a window can hold, or nothing.

        """
        if not count:
            raise StreamFault(self.ident, Code.PROTOCOL_ERROR)
        self.window += count
        if self.window > MAX_WINDOW:
            raise StreamFault(self.ident, Code.FLOW_CONTROL_ERROR)
        if self._rest and self.pump():
            self._sender.forget(self)

    def answer(self, head: bytes, content: bytes, tail: bytes) -> None:
        """Send a whole answer: the blocks of its first and last fields, and what is between."""
        if self.done:
            return
        sender = self._sender
        size = len(content)
        if size <= sender.at_once and size <= self.window and size <= sender.window:
            self.window -= size
            sender.window -= size
            ident = self.ident
            sender.write(
                headers(ident, head, end=False)
                + frame(DATA, 0, ident, content)
                + headers(ident, tail, end=True)
            )
            self._finish()
        else:
            self.send(head, content)
            self.end(tail)

    def send(self, head: bytes, content: bytes) -> None:
        """Send a part of an answer; the fields go out with the first."""
        if self.done:
            return
        if not self.begun:
            self.begun = True
            self._sender.write(headers(self.ident, head, end=False))
        self._rest = memoryview(bytes(self._rest) + content if self._rest else content)
        self._push()

    def end(self, tail: bytes) -> None:
        """Send the last fields, after what is still to be sent."""
        if self.done:
            return
        if self._rest:
            self._tail = tail
        else:
            self._sender.write(headers(self.ident, tail, end=True))
            self._finish()

    def page(self, head: bytes, content: bytes) -> None:
        """Send a whole answer that ends with its content."""
        if not self.done:
            self._tail = b""
            self.send(head, content)

    def reset(self, code: Code) -> None:
        """End it before its time."""
        if not self.done:
            self.done = True
            self._sender.forget(self)
            self._close(self, code)

    def pump(self) -> bool:
        """Send what may be sent; say whether all of it is."""
        before = len(self._rest)
        sent = self._push()
        if len(self._rest) < before:
            self.deadline = inf  # the client takes it
        if sent and not self.done:
            self.sink.drained()
        return sent

    def _push(self) -> bool:
        """Send what may be sent; say whether all of it is.

        The end of an answer without last fields is on its last piece of content.
        """
        sender = self._sender
        while self._rest:
            size = min(len(self._rest), sender.at_once, self.window, sender.window)
            if size <= 0:
                sender.wait(self)
                return False
            piece, self._rest = self._rest[:size], self._rest[size:]
            self.window -= size
            sender.window -= size
            last = END_STREAM if self._tail == b"" and not self._rest else 0
            sender.write(frame(DATA, last, self.ident, piece))
        if self._tail is not None:
            if self._tail:
                sender.write(headers(self.ident, self._tail, end=True))
            self._finish()
        return True

    def _finish(self) -> None:
        self.done = True
        self._close(self, None)
