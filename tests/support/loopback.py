"""A server of ours on loopback, and a client that sends bytes as they are."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BufferedReader
from typing import Any, Self

import uvloop

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.listener import bind
from tiltyard_engine.http.message import Handler, Reply, Request, Response
from tiltyard_engine.http.server import Server

JSON = b"Content-Type: application/json\r\n"
PATIENCE = 20.0
"""Seconds that a test waits for what must come; long, because the machine may be busy."""


def refuse(refusal: Refusal, _request: Request) -> Response:
    """Give a refusal the form that tests read."""
    body = {"reason": refusal.reason, "error": refusal.message}
    return Response(refusal.status, json.dumps(body).encode(), JSON)


def echo(request: Request, reply: Reply) -> None:
    """Answer with what was understood."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers.items()
    }
    understood = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": headers,
        "body": request.body.decode("latin-1"),
    }
    reply(Response(200, json.dumps(understood).encode(), JSON))


@dataclass
class Served:
    """A running server, as tests see it from another thread."""

    server: Server
    loop: asyncio.AbstractEventLoop
    port: int
    requests: list[Request] = field(default_factory=list)

    def call(self, function: Callable[[], None]) -> None:
        """Run a function in the loop's thread and wait for its end."""
        done: asyncio.Future[None] = asyncio.run_coroutine_threadsafe(_call(function), self.loop)  # type: ignore[assignment]  # both have result()
        done.result()

    def finished(self, grace: float) -> bool:
        """Wait for the end of all connections."""
        waiting = asyncio.run_coroutine_threadsafe(self.server.finished(grace), self.loop)
        return waiting.result(grace + PATIENCE)

    def connect(self) -> "Client":
        """Open a connection."""
        return Client(socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE))


async def _call(function: Callable[[], None]) -> None:
    function()


@contextlib.contextmanager
def serving(handler: Handler = echo, limits: Limits | None = None) -> Iterator[Served]:
    """Serve in a thread of its own until the block ends."""
    loop = uvloop.new_event_loop()
    sockets = bind("127.0.0.1", 0, 1)
    requests: list[Request] = []

    def recording(request: Request, reply: Reply) -> None:
        requests.append(request)
        handler(request, reply)

    server = Server(recording, refuse, limits or Limits())
    loop.run_until_complete(server.start(*sockets))
    served = Served(server, loop, sockets[0].getsockname()[1], requests)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        served.call(server.stop_accepting)
        served.finished(0.0)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@dataclass
class Answer:
    """One answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as what it says."""
        return json.loads(self.body)


class Client:
    """A connection on which a test sends any bytes it likes."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in: BufferedReader = sock.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._in.close()
        self.sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes; that the server has hung up shows in what it answered."""
        with contextlib.suppress(ConnectionError):
            self.sock.sendall(data)

    def shut(self) -> None:
        """Shut the writing side."""
        self.sock.shutdown(socket.SHUT_WR)

    def answer(self, *, bodiless: bool = False) -> Answer:
        """Read one answer; fails when the connection ends before it."""
        status, headers = self.opening()
        while status == 100:
            status, headers = self.opening()
        length = 0 if bodiless else int(headers.get("Content-Length", "0"))
        body = self._in.read(length)
        assert len(body) == length
        return Answer(status, headers, body)

    def opening(self) -> tuple[int, dict[str, str]]:
        """Read the status and headers of an answer, which may be `100 Continue`."""
        line = self._in.readline()
        assert line.startswith(b"HTTP/1.1 "), f"no answer but {line!r}"
        headers: dict[str, str] = {}
        while (header := self._in.readline()) != b"\r\n":
            name, _, value = header.decode("latin-1").partition(":")
            assert name not in headers, f"{name} twice"
            headers[name] = value.strip()
        return int(line.split()[1]), headers

    def at_end(self) -> bool:
        """Wait for the server to end the connection; whether it did so without another byte."""
        return self._in.read(1) == b""

    def pipe(self, count: int) -> bytes:
        """Read so many raw bytes."""
        return self._in.read(count)
