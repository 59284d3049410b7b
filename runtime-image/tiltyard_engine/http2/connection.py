"""One connection: its bytes, its deadlines and its end."""

import asyncio
from math import inf
from typing import Final, cast

from typing_extensions import override

from tiltyard_engine.http2.faults import Code, ConnectionFault
from tiltyard_engine.http2.frames import MAX_WINDOW, PREFACE, FrameReader, Kind, frame, goaway
from tiltyard_engine.http2.sending import Sender
from tiltyard_engine.http2.service import Service
from tiltyard_engine.http2.session import LEAVING, Session

PING_PATIENCE: Final = 20.0
"""Seconds that a silent client gets to answer a ping."""

_THERE: Final = b"are you?"
_TURNED_AWAY: Final = 128
"""Connections beyond the limit that may be told so at once; more are dropped without a word."""

_DISCARDED: Final = 1 << 22
"""Bytes that are read past once we are done, so that a client can read why."""


class Connection(asyncio.Protocol):
    """The protocol that the loop drives.

    Attributes:
        deadline: when the next sweep shall look; not later than anything is due.

    """

    __slots__ = (
        "_discardable",
        "_frames",
        "_heard",
        "_over",
        "_pinged",
        "_preface",
        "_retired",
        "_sender",
        "_service",
        "_session",
        "_since",
        "_transport",
        "deadline",
    )

    def __init__(self, service: Service) -> None:
        self._service = service
        self._frames = FrameReader()
        self._preface = PREFACE  # what has not come of it
        self._heard = service.now
        self._pinged = inf
        self._since = service.now  # when something was begun that is not whole
        self._retired = False
        self._over = False
        self._discardable = _DISCARDED
        self.deadline = service.after(service.limits.header_timeout)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._sender = Sender(self._transport)
        service = self._service
        self._session = Session(service, self._sender, self._refuse_streams, self._leave)
        count = service.join(self)
        most = service.limits.max_connections
        if count > most + _TURNED_AWAY:
            self._transport.abort()
            return
        self._sender.write(service.greeting)
        if count > most:
            message = f"the server has {most} connections, its limit: try again later"
            self._fail(ConnectionFault(Code.ENHANCE_YOUR_CALM, message))
        elif service.draining:
            self._retire()

    @override
    def data_received(self, data: bytes) -> None:
        self._heard = self._service.now
        self._pinged = inf
        if self._discards(len(data)):
            return
        session = self._session
        try:
            if self._preface:
                data = self._greet(data)
            for one in self._frames.cut(data):
                session.read(*one)
                if self._over:
                    return
        except ConnectionFault as fault:
            self._fail(fault)
            return
        if self.deadline > self._service.now and session.streams:
            self.deadline = self._service.now
        self._watch_unfinished()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._over = True
        self._session.lose()
        self._service.leave(self)

    @override
    def pause_writing(self) -> None:
        self._sender.blocked = True
        self.deadline = self._service.after(self._service.limits.write_timeout)
        if not self._transport.is_closing():
            self._transport.pause_reading()

    @override
    def resume_writing(self) -> None:
        self._sender.blocked = False
        self._look_again()
        if not self._transport.is_closing():
            self._transport.resume_reading()
        for stream in tuple(self._session.streams.values()):
            if stream.writable:
                stream.sink.drained()

    def expire(self) -> None:
        """Look at everything that may be late."""
        limits = self._service.limits
        if self._sender.blocked or self._over:
            self._transport.abort()
        elif self._late(self._since, limits.header_timeout):
            message = f"a frame did not come whole within {limits.header_timeout:g} s"
            self._fail(ConnectionFault(Code.ENHANCE_YOUR_CALM, message))
        elif self._late(self._pinged, PING_PATIENCE):
            self._transport.abort()
        else:
            self._check()

    def hurry(self, _deadline: float) -> None:
        """Ask the client to leave."""
        if not self._over:
            self._retire()

    def abort(self) -> None:
        """Drop the connection with all that is owed on it."""
        self._transport.abort()

    def _discards(self, count: int) -> bool:
        """Whether it is too late for what has come."""
        if self._over:
            self._discardable -= count
            if self._discardable < 0:
                self._transport.abort()
        return self._over

    def _greet(self, data: bytes) -> bytes:
        """Take what is left of the preface off the data."""
        size = min(len(self._preface), len(data))
        if not self._preface.startswith(data[:size]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "this port speaks HTTP/2 (gRPC) only")
        self._preface = self._preface[size:]
        return data[size:]

    def _watch_unfinished(self) -> None:
        """Bound the time that the greeting, a frame or a header block may take."""
        session = self._session
        if session.greeted and session.block is None and not self._frames.amid:
            self._since = inf
        elif self._since == inf:
            self._since = self._service.now
            self._look_again()

    def _late(self, since: float, seconds: float) -> bool:
        return since + seconds + self._service.pause <= self._service.now

    def _check(self) -> None:
        """See to streams and to silence."""
        service = self._service
        session = self._session
        session.patience.rest()
        if self._retired:
            self._refuse_streams()
        for stream in tuple(session.streams.values()):
            if stream.deadline <= service.now:
                stream.sink.expire()
        self._sender.time_waiting(service.after(service.limits.write_timeout))
        if self._pinged == inf and self._late(self._heard, service.limits.keep_alive):
            self._pinged = service.now
            self._sender.write(frame(Kind.PING, 0, 0, _THERE))
        if not self._over and not self._sender.blocked:
            self._look_again()

    def _look_again(self) -> None:
        """Say when to look next: soon, where anything may become late."""
        service = self._service
        soon = self._session.streams or self._since != inf or self._pinged != inf or self._retired
        silent = self._heard + service.limits.keep_alive + service.pause
        self.deadline = service.now if soon else silent

    def _retire(self) -> None:
        """Ask the client to leave; what it sends before it has heard that is answered."""
        if not self._retired:
            self._retired = True
            self._sender.write(goaway(MAX_WINDOW, Code.NO_ERROR) + frame(Kind.PING, 0, 0, LEAVING))
            self._look_again()

    def _refuse_streams(self) -> None:
        """Begin no more streams: the client has been told, or does not listen."""
        session = self._session
        if self._retired and not session.refusing:
            session.refusing = True
            self._sender.write(goaway(session.last, Code.NO_ERROR))
            self._leave()

    def _leave(self) -> None:
        """Close, where nothing is owed and nothing may come."""
        if self._session.refusing and not self._session.streams and not self._over:
            self._finish()

    def _fail(self, fault: ConnectionFault) -> None:
        """Say what the client did wrong, and close."""
        self._sender.write(goaway(self._session.last, fault.code, fault.message))
        self._finish()
        self._session.lose()

    def _finish(self) -> None:
        """Close our side, and give the client time to read what we said.

        Closing at once would reset a connection on which the client still sends, and the reset may
        overtake the last answer.
        """
        self._over = True
        if not self._transport.is_closing():
            self._transport.write_eof()
        if not self._sender.blocked:
            self.deadline = self._service.after(self._service.limits.linger)
