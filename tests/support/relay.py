"""A way to a server that can be cut: bytes go through as they are."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Relay:
    """Passes connections on until it is cut.

    Args:
        host: of the server.
        port: of the server.

    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._cut = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    @property
    def port(self) -> int:
        """Where it listens, on the loopback interface."""
        return int(self._listening.getsockname()[1])

    def cut(self) -> None:
        """End every connection, and take no more."""
        with self._lock:
            self._cut = True
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Take connections again."""
        with self._lock:
            self._cut = False

    def close(self) -> None:
        """End."""
        self.cut()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for one in (*self._open, self._listening):
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self._listening.accept()
                self._connect(caller)

    def _connect(self, caller: socket.socket) -> None:
        with self._lock:
            if self._cut:
                caller.close()
                return
            try:
                server = socket.create_connection(self._server, timeout=5)
            except OSError:
                caller.close()
                return
            server.settimeout(None)
            self._open += [caller, server]
            for pair in ((caller, server), (server, caller)):
                thread = threading.Thread(target=_pass, args=pair, daemon=True)
                self._threads.append(thread)
                thread.start()


def _pass(giver: socket.socket, taker: socket.socket) -> None:
    with suppress(OSError):
        while piece := giver.recv(1 << 16):
            taker.sendall(piece)
    with suppress(OSError):
        taker.shutdown(socket.SHUT_RDWR)


@contextmanager
def relay(host: str, port: int) -> Iterator[Relay]:
    """Run a relay until the block ends."""
    made = Relay(host, port)
    try:
        yield made
    finally:
        made.close()
