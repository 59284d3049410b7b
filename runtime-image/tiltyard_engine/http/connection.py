"""One connection: bytes in, requests to the handler, answers out in their order."""

import asyncio
import fcntl
import termios
import traceback
from collections import deque
from typing import Final, cast

from typing_extensions import override

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.answer import CONTINUE
from tiltyard_engine.http.body import unpack
from tiltyard_engine.http.exchange import Exchange
from tiltyard_engine.http.head import CLOSE, END_OF_HEAD, NO_HEAD, Head
from tiltyard_engine.http.message import Request
from tiltyard_engine.http.reader import BETWEEN, BODY, HEAD, SHUT, RequestReader
from tiltyard_engine.http.refusals import (
    body_too_late,
    handler_failed,
    headers_too_late,
    malformed,
    too_many_connections,
)
from tiltyard_engine.http.service import Service
from tiltyard_engine.log import log

_TURNED_AWAY: Final = 128
"""Connections beyond the limit that may be told so at once; more are dropped without a word."""


class Connection(asyncio.Protocol):
    """The protocol that the loop drives.

    Attributes:
        deadline: when the next sweep shall look; what for depends on the stage of the reader.

    """

    __slots__ = (
        "_blocked",
        "_discardable",
        "_ended",
        "_gathering",
        "_held",
        "_known_heads",
        "_over",
        "_owed",
        "_reader",
        "_service",
        "_steps",
        "_transport",
        "deadline",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self._known_heads = service.heads.known
        self._reader = RequestReader(service.heads, service.limits)
        self._owed: deque[Exchange] = deque()
        self._steps = 0  # the reader's, when the deadline was last set for them
        self._gathering = False  # answers wait for others, to leave in one call
        self._held = False  # we do not read the client
        self._blocked = False  # the client does not read us
        self._ended = False  # the client has shut its side
        self._over = False  # all is answered; the client is given time to read it
        self._discardable = 4 * service.limits.max_body
        self.deadline = service.after(service.limits.header_timeout)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        most = self._service.limits.max_connections
        count = self._service.join(self)
        if count > most + _TURNED_AWAY:
            self._transport.abort()
        elif count > most:
            self._refuse(too_many_connections(self._service.limits))

    @override
    def data_received(self, data: bytes) -> None:
        reader = self._reader
        if reader.stage is BETWEEN:
            # The short path: one whole request.
            end = data.find(END_OF_HEAD) + 4
            block = data[:end]
            head = self._known_heads.get(block) or self._service.heads.try_read(block)
            if head is not None and head.plain_length == len(data) - end:
                self._hand_over(head, data[end:])
                if self._owed and len(self._owed) >= self._service.limits.max_pipelined:
                    self._hold()
                return
        if reader.stage is SHUT:
            self._discard(len(data))
        else:
            reader.feed(data)
            self._pull()

    @override
    def eof_received(self) -> bool:
        self._ended = True
        if self._reader.stage is HEAD or self._reader.stage is BODY:
            self._refuse(malformed("the client closed before the end of its request"))
        if self._owed:
            self._reader.shut()
        return bool(self._owed)  # True keeps our side open for the answers that are owed

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._reader.shut()
        self._owed.clear()
        self._service.leave(self)

    @override
    def pause_writing(self) -> None:
        self._blocked = True
        self.deadline = self._service.after(self._service.limits.write_timeout)
        self._hold()

    @override
    def resume_writing(self) -> None:
        self._blocked = False
        self._renew_deadline()
        if not self._over:
            self._release()

    def expire(self) -> None:
        """Act on a deadline that has passed."""
        limits = self._service.limits
        stage = self._reader.stage
        if self._blocked or self._over:
            self._transport.abort()
        elif self._held or stage is SHUT:
            self._renew_deadline()  # not the client is late but we are
        elif stage is HEAD:
            self._refuse(headers_too_late(limits))
        elif stage is BODY:
            self._refuse(body_too_late(limits))
        elif self._owed or self._has_mail():
            self._renew_deadline()
        else:
            self._over = True
            self._transport.close()

    def hurry(self, deadline: float) -> None:
        """Bring the end of an idle connection forward."""
        if self._reader.idle and not self._owed:
            self.deadline = min(self.deadline, deadline)

    def abort(self) -> None:
        """Drop the connection with all that is owed on it."""
        self._transport.abort()

    def _pull(self) -> None:
        """Hand over what is whole, at most `max_pipelined` requests at a time."""
        most = self._service.limits.max_pipelined
        full = True
        while full and not self._held:
            self._gathering = True
            try:
                while len(self._owed) < most and (whole := self._reader.next()):
                    self._unpack_and_hand_over(*whole)
            except Refusal as refusal:
                self._refuse(refusal)
            self._gathering = False
            full = len(self._owed) >= most
            self.flush()
            if len(self._owed) >= most:
                self._hold()
        if self._reader.steps != self._steps and not self._blocked:
            self._renew_deadline()
        if self._reader.expecting and not self._owed:
            self._let_go_on()

    def _unpack_and_hand_over(self, head: Head, body: bytes) -> None:
        if head.encoding:
            try:
                body = unpack(head.encoding, body, self._service.limits)
            except Refusal as refusal:
                self._refuse(refusal, head)
                return
        self._hand_over(head, body)

    def _hand_over(self, head: Head, body: bytes) -> None:
        exchange = Exchange(head, self.flush)
        self._owed.append(exchange)
        if not head.keep_alive:
            self._reader.shut()
        try:
            self._service.handler(
                Request(head.method, head.path, head.query, head.headers, body), exchange.answer
            )
        except Exception:  # noqa: BLE001 - its client gets an answer, the others go on
            log("a handler failed", path=head.path, error=traceback.format_exc())
            if exchange.response is None:
                exchange.answer(self._service.refuse(handler_failed(), head.request(b"")))

    def _refuse(self, refusal: Refusal, head: Head = NO_HEAD) -> None:
        """Answer in the handler's stead; without a head to go on from, as the last answer."""
        request = self._reader.at_hand() if head is NO_HEAD else head.request(b"")
        exchange = Exchange(head, self.flush)
        self._owed.append(exchange)
        if not head.keep_alive:
            self._reader.shut()
        exchange.answer(self._service.refuse(refusal, request))

    def _discard(self, count: int) -> None:
        self._discardable -= count
        if self._discardable < 0:
            if self._over:
                self._transport.abort()
            else:
                self._hold()

    def flush(self) -> None:
        """Write the answers that are there, up to the first that is not."""
        if self._gathering:
            return
        service = self._service
        owed = self._owed
        out: list[bytes] = []
        last = False
        while owed and not last:
            response = owed[0].response
            if response is None:
                break
            head = owed.popleft().head
            last = not head.keep_alive or (service.draining and not owed and self._reader.idle)
            out.append(service.writer.write(response, head, CLOSE if last else head.persistence))
        if out:
            self._transport.writelines(out)
            if last:
                self._finish()
            elif not owed:
                self._rest()

    def _rest(self) -> None:
        """All that was owed is written: the next move is the client's."""
        reader = self._reader
        if self._blocked:
            return
        if reader.stage is BETWEEN:
            self.deadline = self._service.idle_until
        elif self._ended:
            self._finish()
        elif reader.expecting:
            self._let_go_on()
        if self._held:
            self._release()

    def _let_go_on(self) -> None:
        self._reader.expecting = False
        self._transport.write(CONTINUE)

    def _finish(self) -> None:
        """Say that this was the last answer, and give the client time to read it.

        Closing at once would reset a connection on which the client still sends, and the reset may
        overtake the answer.
        """
        self._over = True
        self._reader.shut()
        self._owed.clear()
        if self._ended:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
            if self._held:
                self._held = False
                self._transport.resume_reading()
        if not self._blocked:
            self._renew_deadline()

    def _hold(self) -> None:
        """Stop reading the client."""
        if not self._held and not self._transport.is_closing():
            self._held = True
            self._transport.pause_reading()

    def _release(self) -> None:
        """Read the client again, beginning with what it had sent before."""
        if self._held and not self._transport.is_closing():
            self._held = False
            self._transport.resume_reading()
            self._pull()

    def _renew_deadline(self) -> None:
        self._steps = self._reader.steps
        self.deadline = self._service.due(self._reader.stage)

    def _has_mail(self) -> bool:
        """Whether bytes wait in the socket: closing now would lose a request."""
        file = self._transport.get_extra_info("socket").fileno()
        return fcntl.ioctl(file, termios.FIONREAD, bytes(4)) != bytes(4)
