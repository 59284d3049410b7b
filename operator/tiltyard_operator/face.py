"""The operator's own port: is it alive, is it ready, what has it counted."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from tiltyard_operator.metrics import REGISTRY

TURNS_WITHIN = 90.0
"""Seconds: each turn of the Lease's loop is bounded well below it."""

SEEN_WITHIN = 180.0
"""Seconds: a frozen watch is noticed by kopf itself after 70."""


@dataclass(slots=True)
class Health:
    """What only running parts know."""

    seen: float | None = None
    """When a watch last brought back a write of the Lease; None: nothing is watched."""

    waits_for: str = "the API server"
    """What must be there before work begins; empty: nothing."""


def lifeless(turned: float, renewed: float | None, seen: float | None, now: float) -> str:
    """Say why the process must be started anew; empty where it need not be.

    The Lease's own writes are the pulse: they come back through a watch. Where they cannot be
    written, because the API server is gone, nothing is missed and a new process would not help.

    Args:
        turned: when the loop that keeps the Lease last turned.
        renewed: when the Lease was last written; None: it is not held.
        seen: when a watch last brought such a write back; None: nothing is watched.
        now: the same clock.

    """
    if now - turned > TURNS_WITHIN:
        return "the loop that keeps the Lease does not turn"
    if renewed is not None and seen is not None and renewed - seen > SEEN_WITHIN:
        return "the Lease was written, and no watch has brought that back for three minutes"
    return ""


Judge = Callable[[], str]
"""Says what is wrong; empty where nothing is."""


class Face:
    """Serves `/livez`, `/readyz` and `/metrics`.

    Args:
        port: to listen on; 0: any that is free.
        live: what is wrong with the process.
        ready: what it waits for.

    """

    def __init__(self, port: int, live: Judge, ready: Judge) -> None:
        judges = {"/livez": live, "/readyz": ready}

        class Handler(BaseHTTPRequestHandler):
            """Answers one connection."""

            timeout = 10  # seconds that a client may take for its request

            def do_GET(self) -> None:
                """Answer."""
                path = self.path.partition("?")[0]
                if path == "/metrics":
                    self._answer(200, generate_latest(REGISTRY), CONTENT_TYPE_LATEST)
                elif path in judges:
                    fault = judges[path]()
                    self._answer(503 if fault else 200, f"{fault or 'ok'}\n".encode())
                else:
                    self._answer(404, b"there are /livez, /readyz and /metrics\n")

            def _answer(self, status: int, body: bytes, content: str = "text/plain") -> None:
                self.send_response(status)
                self.send_header("Content-Type", content)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Probes come every few seconds: they are not worth a line."""

        self._server = ThreadingHTTPServer(("", port), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name="face", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
