"""Servers that answer as an API server under stress does, or not at all."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANYWHERE = ("127.0.0.1", 0)


@dataclass
class Stressed:
    """A server of which each answer is chosen in advance."""

    url: str
    answers: list[tuple[int, dict[str, str], bytes]]
    """Status, headers and body, in order; the last is given again and again."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and value of Authorization of each request."""


@contextmanager
def stressed(
    *answers: tuple[int, dict[str, str], bytes], address: tuple[str, int] = ANYWHERE
) -> Iterator[Stressed]:
    """Serve these answers on loopback."""
    said = Stressed("", list(answers))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            said.asked.append((self.command, self.headers.get("Authorization", "")))
            status, headers, body = said.answers[min(len(said.asked), len(said.answers)) - 1]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = int(headers.get("Content-Length", len(body))) != len(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(address, Handler)
    server.daemon_threads = True
    said.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield said
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hang(connection: socket.socket, stop: threading.Event) -> None:
    """Take a request and never say a word."""
    del connection
    stop.wait()


def trickle(connection: socket.socket, stop: threading.Event) -> None:
    """Begin an answer and never come to its end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
    while not stop.wait(0.05):
        connection.sendall(b" ")


def reset(connection: socket.socket, stop: threading.Event) -> None:
    """Close the connection in the client's face."""
    del stop
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


@contextmanager
def ill_behaved(
    behave: Callable[[socket.socket, threading.Event], None],
    address: tuple[str, int] = ANYWHERE,
) -> Iterator[str]:
    """Address of a server that takes connections and behaves so."""
    stop = threading.Event()
    listener = socket.create_server(address)

    def one(connection: socket.socket) -> None:
        with connection, suppress_closed():
            connection.recv(65536)
            behave(connection, stop)

    def accept() -> None:
        with suppress_closed():
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=one, args=[connection], daemon=True).start()

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@contextmanager
def suppress_closed() -> Iterator[None]:
    """Take a connection that the other side closed for what it is."""
    try:
        yield
    except OSError:
        return
