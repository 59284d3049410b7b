"""One call: its messages, its deadline, its end."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from typing_extensions import override

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.grpc import metadata
from tiltyard_engine.grpc.framing import PREFIX, MessageReader, prefixed
from tiltyard_engine.grpc.metadata import CODES, HEAD, Code
from tiltyard_engine.grpc.opening import Opening
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.refusals import body_too_late
from tiltyard_engine.http2.faults import Code as Http2Code
from tiltyard_engine.http2.fields import Head
from tiltyard_engine.http2.streams import Stream

MAX_BACKLOG: Final = 64 * 1024
"""Bytes of questions in one call that may wait for their answers to be read."""

Handle = Callable[["Exchange", bytes], None]


@dataclass(frozen=True, slots=True)
class Method:
    """What is done with a message of a call."""

    handle: Handle
    many: bool = False
    """Whether the client may send more than one."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every call."""

    limits: Limits
    loop: asyncio.AbstractEventLoop
    count_stray: Callable[[int, str], None]
    """Counts what was refused before it led to a Pipeline."""


class Exchange:
    """One call of one message, whose answer may have several.

    Attributes:
        head: what the client sent first.
        left: called once where the client does not wait for the answer any more.

    """

    __slots__ = ("_method", "_reader", "_stream", "_terms", "_timer", "head", "left")

    def __init__(
        self, head: Head, stream: Stream, method: Method, opening: Opening, terms: Terms
    ) -> None:
        self.head = head
        self.left: Callable[[], None] | None = None
        self._stream = stream
        self._method = method
        self._terms = terms
        self._reader = MessageReader(terms.limits, packed=opening.packed)
        self._timer: asyncio.TimerHandle | None = None
        if opening.timeout is not None:
            self._timer = terms.loop.call_later(opening.timeout, self._too_late)

    def take(self, piece: bytes, *, last: bool) -> None:
        """Take some of the request."""
        if last and not self._reader.size and len(piece) >= PREFIX.size:
            flag, length = PREFIX.unpack_from(piece)
            if not flag and length + PREFIX.size == len(piece) <= self._terms.limits.max_body:
                self._method.handle(self, piece[PREFIX.size :])  # the usual way
                return
        try:
            if piece:
                self._reader.feed(piece)
            self._go_on(len(piece), last=last)
        except Refusal as refusal:
            self.refuse(refusal)

    def _go_on(self, size: int, *, last: bool) -> None:
        """Hand the message over when it is known to be the only one."""
        self._stream.release(size)
        if not last:
            return
        message = self._reader.next()
        if message is None or self._reader.size:
            what = "a message ends too early" if message is None else "one message is wanted"
            raise Refusal(Reason.MALFORMED_BODY, f"{what}: send one, whole")
        self._method.handle(self, message)

    def drained(self) -> None:
        """Nothing waits for it."""

    def expire(self) -> None:
        """Give up a client that does not send, or does not take what it asked for."""
        if self._stream.receiving:
            self.refuse(body_too_late(self._terms.limits))
        else:
            self._stream.reset(Http2Code.CANCEL)
            self.lost()

    def lost(self) -> None:
        """Forget the client."""
        self._stop()
        left, self.left = self.left, None
        if left:
            left()

    def answer(self, message: bytes, lines: bytes = b"") -> None:
        """Answer with one message, and metadata given as header lines."""
        self._stop()
        self._stream.answer(HEAD, prefixed(message), metadata.DONE + metadata.written(lines))

    def send(self, message: bytes) -> None:
        """Answer with one message of several."""
        self._stream.send(HEAD, prefixed(message))

    def finish(self) -> None:
        """End an answer of several messages."""
        self._stop()
        begun = b"" if self._stream.begun else HEAD
        self._stream.end(begun + metadata.DONE)

    def refuse(self, refusal: Refusal) -> None:
        """End the call with what is wrong with it, and count it: it led nowhere."""
        self._terms.count_stray(refusal.status, "grpc")
        text = f"{refusal.reason}: {refusal.message}"
        lines = b"X-Tiltyard-Reason: %b\r\n" % refusal.reason.encode()
        self.abort(CODES.get(refusal.status, Code.UNKNOWN), text, lines)

    def abort(self, code: Code, details: str, lines: bytes = b"") -> None:
        """End the call without an answer."""
        self._stop()
        begun = b"" if self._stream.begun else HEAD
        self._stream.end(begun + metadata.refusal(code, details, lines))

    def _too_late(self) -> None:
        self._timer = None
        self.abort(Code.DEADLINE_EXCEEDED, "the call's own deadline is over")
        self.lost()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Conversation(Exchange):
    """A call of many messages, each answered before the next is looked at."""

    __slots__ = ("__weakref__", "_ended")

    def __init__(
        self, head: Head, stream: Stream, method: Method, opening: Opening, terms: Terms
    ) -> None:
        super().__init__(head, stream, method, opening, terms)
        self._ended = False
        stream.deadline = inf  # the client may be silent as long as it likes

    @override
    def take(self, piece: bytes, *, last: bool) -> None:
        self._ended = last
        self._stream.release(len(piece))
        try:
            self._reader.feed(piece)
            self._answer_some()
        except Refusal as refusal:
            self.refuse(refusal)

    @override
    def drained(self) -> None:
        try:
            self._answer_some()
        except Refusal as refusal:
            self.refuse(refusal)

    def _answer_some(self) -> None:
        """Answer as long as the client takes the answers."""
        while self._stream.writable:
            message = self._reader.next()
            if message is None:
                break
            self._method.handle(self, message)
        else:
            if self._reader.size > MAX_BACKLOG:
                raise Refusal(Reason.OVERLOADED, "too many questions at once: read the answers")
            return
        if self._ended and not self._stream.done:
            self._end()

    def _end(self) -> None:
        if self._reader.size:
            raise Refusal(Reason.MALFORMED_BODY, "a message ends too early: send it whole")
        self.finish()
