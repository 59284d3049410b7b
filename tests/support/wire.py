"""A connection of ours without a socket, for tests that choose where the bytes are cut."""

import asyncio
from collections.abc import Iterable
from typing import Any

from typing_extensions import override

from loopback import refuse
from tiltyard_engine.http.connection import Connection
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Handler, Reply, Request, Response
from tiltyard_engine.http.service import Service


class Wire(asyncio.Transport):
    """Plays the client and the kernel; keeps what the server sends."""

    def __init__(self, handler: Handler | None = None, limits: Limits | None = None) -> None:
        super().__init__()
        self.sent = b""
        self.requests: list[Request] = []
        self.ended = False
        self._handler = handler or (lambda _, reply: reply(Response(200, b"")))
        self._connection = Connection(Service(self._record, refuse, limits or Limits()))
        self._connection.connection_made(self)

    def feed(self, pieces: Iterable[bytes]) -> None:
        """Let the pieces arrive, one by one, while the server listens."""
        for piece in pieces:
            if piece and not self.ended:
                self._connection.data_received(piece)

    def _record(self, request: Request, reply: Reply) -> None:
        self.requests.append(request)
        self._handler(request, reply)

    @override
    def write(self, data: Any) -> None:
        assert not self.ended, "written after the end"
        self.sent += data

    @override
    def writelines(self, list_of_data: Iterable[Any]) -> None:
        self.write(b"".join(list_of_data))

    @override
    def write_eof(self) -> None:
        self.ended = True

    @override
    def is_closing(self) -> bool:
        return self.ended

    @override
    def pause_reading(self) -> None:
        """Nothing: the handlers of these tests answer at once."""

    @override
    def resume_reading(self) -> None:
        """Nothing."""


def cut(stream: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut a stream at those places, each taken modulo its length."""
    ends = sorted({place % (len(stream) + 1) for place in places})
    starts = [0, *ends]
    return [stream[a:b] for a, b in zip(starts, [*ends, len(stream)], strict=True)]
