"""An HTTP server that gives bytes to whoever asks, well or badly, and remembers who asked."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 16


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: dict[str, str]


class Handler(BaseHTTPRequestHandler):
    """One request, for a route to answer."""

    protocol_version = "HTTP/1.1"
    server: "Giver"

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append(Asked(self.path, headers))
        route = self.server.routes.get(self.path.partition("?")[0], answer(404))
        with suppress(ConnectionError):
            route(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Giver(ThreadingHTTPServer):
    """A server with routes that tests set."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str) -> None:
        super().__init__((host, 0), Handler)
        self.routes: dict[str, Route] = {}
        self.asked: list[Asked] = []
        self.ended = threading.Event()

    @property
    def url(self) -> str:
        return "http://{}:{}".format(*self.server_address)

    def handle_error(self, *_: object) -> None:
        """A client that went away is none of ours."""


Route = Callable[[Handler], None]


@contextmanager
def giving(routes: dict[str, Route] | None = None, host: str = "127.0.0.1") -> Iterator[Giver]:
    """Serve routes until the block ends."""
    giver = Giver(host)
    giver.routes |= routes or {}
    thread = threading.Thread(target=giver.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield giver
    finally:
        giver.ended.set()
        giver.shutdown()
        thread.join()
        giver.server_close()


def answer(status: int, body: bytes = b"", **headers: str) -> Route:
    """Answer with a status and a body; `_` of a header's name stands for `-`."""

    def route(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return route


def redirect(place: str, status: int = 302, **headers: str) -> Route:
    """Lead elsewhere."""
    return answer(status, b"", Location=place, **headers)


def truncated(body: bytes, said: int) -> Route:
    """Promise more than comes."""

    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(said))
        handler.end_headers()
        handler.wfile.write(body)
        handler.close_connection = True

    return route


def chunked(pieces: list[bytes], *, whole: bool = True) -> Route:
    """Send a body of unknown length."""

    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if whole:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return route


def silent(handler: Handler) -> None:
    """Say nothing at all, until the server ends."""
    handler.server.ended.wait(60)


def dripping(handler: Handler) -> None:
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(1 << 20))
    handler.end_headers()
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"x")


def dripping_head(handler: Handler) -> None:
    """Send a head that never ends."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
    while not handler.server.ended.wait(0.05):
        handler.wfile.write(b"x")


def endless(handler: Handler) -> None:
    """Send zeros of unknown number."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    while not handler.server.ended.is_set():
        handler.wfile.write(bytes(PIECE))


def sized(size: int) -> Route:
    """Send that many zeros."""

    def route(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(size))
        handler.end_headers()
        for _ in range(size // PIECE):
            handler.wfile.write(bytes(PIECE))
        handler.wfile.write(bytes(size % PIECE))

    return route


def one_after_another(*routes: Route) -> Route:
    """Answer each request otherwise; the last route answers all further ones."""
    left = list(routes)

    def route(handler: Handler) -> None:
        (left.pop(0) if len(left) > 1 else left[0])(handler)

    return route


def slowly(seconds: float, then: Route) -> Route:
    """Let a client wait."""

    def route(handler: Handler) -> None:
        time.sleep(seconds)
        then(handler)

    return route
