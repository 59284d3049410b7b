"""An HTTPS server that tells of one ConfigMap as an API server does, and fails as it is told to."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import trustme
from typing_extensions import override

HOST = "127.0.0.1"
NAMESPACE, NAME = "trials", "watched-routing"
FIRST_TOKEN = "first"  # noqa: S105 - of nobody
_POLL_SECONDS = 0.02


class Fault(Enum):
    """What goes wrong."""

    NONE = auto()
    FORBIDDEN = auto()
    """Every question is refused."""

    GARBAGE = auto()
    """Answers are half a JSON document, in whole HTTP."""

    CUT = auto()
    """Watches end within an event, without a goodbye."""

    GONE = auto()
    """Watches say that their version is too old, as often as they are opened."""

    BRIEF = auto()
    """Watches end as soon as they begin, in good order."""

    FROZEN = auto()
    """Nothing is answered any more, and no connection is closed."""

    NOT_HTTP = auto()


@dataclass
class Cluster:
    """One ConfigMap and how it is told of."""

    url: str
    ca_file: Path
    token_file: Path
    fault: Fault = Fault.NONE
    token: str = FIRST_TOKEN
    watches: list[dict[str, str]] = field(default_factory=list)
    """What each watch asked for."""

    reads: int = 0
    turned_away: int = 0
    """Connections that were closed at once."""

    _away: bool = False
    _version: int = 100
    _now: dict[str, Any] | None = None
    _events: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _connections: set[socket.socket] = field(default_factory=set)

    @property
    def flags(self) -> list[str]:
        """What an engine must be told to watch this."""
        return [
            f"--watch-configmap={NAMESPACE}/{NAME}",
            f"--api-server={self.url}",
            f"--api-token={self.token_file}",
            f"--api-ca={self.ca_file}",
            "--watch-period=1s",
        ]

    def put(self, data: Mapping[str, str]) -> None:
        """Write the ConfigMap."""
        with self._changed:
            kind = "MODIFIED" if self._now else "ADDED"
            self._version += 1
            metadata = {"name": NAME, "resourceVersion": str(self._version)}
            self._now = {"metadata": metadata, "data": dict(data)}
            self._events.append((self._version, {"type": kind, "object": self._now}))
            self._changed.notify_all()

    def delete(self) -> None:
        """Delete the ConfigMap."""
        with self._changed:
            self._version += 1
            self._events.append((self._version, {"type": "DELETED", "object": self._now}))
            self._now = None
            self._changed.notify_all()

    def change_token(self, token: str) -> None:
        """Take no other token from now on, as Kubernetes does when the old one has expired."""
        self.token = token
        self.token_file.write_text(token + "\n")

    def hang_up(self) -> None:
        """End every connection."""
        for one in list(self._connections):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let nobody in until the block ends."""
        self._away = True
        self.hang_up()
        try:
            yield
        finally:
            self._away = False

    def let_in(self) -> bool:
        """Whether a connection that has come may stay."""
        self.turned_away += self._away
        return not self._away

    def listed(self) -> dict[str, Any]:
        """Give the answer to a LIST."""
        with self._changed:
            self.reads += 1
            items = [self._now] if self._now else []
            return {"metadata": {"resourceVersion": str(self._version)}, "items": items}

    def event_after(self, version: int, until: float) -> tuple[int, dict[str, Any]] | None:
        """Wait for the next event; None when the time is over or something goes wrong."""
        with self._changed:
            while time.monotonic() < until and self.fault in (Fault.NONE, Fault.CUT):
                later = (one for one in self._events if one[0] > version)
                if (found := next(later, None)) is not None:
                    return found
                self._changed.wait(_POLL_SECONDS)
        return None

    def thaw(self) -> None:
        """Wait while nothing is answered."""
        while self.fault is Fault.FROZEN:
            time.sleep(_POLL_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    """Speaks for the cluster; HTTP/1.1 on kept connections, as an API server does."""

    protocol_version = "HTTP/1.1"
    cluster: Cluster

    @override
    def setup(self) -> None:
        super().setup()
        self.cluster._connections.add(self.connection)

    @override
    def finish(self) -> None:
        self.cluster._connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    @override
    def handle(self) -> None:
        with suppress(OSError):
            super().handle()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Answer a LIST or a WATCH."""
        cluster = self.cluster
        cluster.thaw()
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        expected = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
        if parts.path != expected or asked.pop("fieldSelector", "") != f"metadata.name={NAME}":
            self._say(403, {"message": f"{self.path} is more than the role allows", "code": 403})
        elif self.headers["Authorization"] != f"Bearer {cluster.token}":
            self._say(401, {"message": "Unauthorized", "code": 401})
        elif cluster.fault is Fault.FORBIDDEN:
            self._say(403, {"message": "configmaps is forbidden", "code": 403})
        elif cluster.fault is Fault.NOT_HTTP:
            self.wfile.write(b"220 mail.example.org ESMTP\r\n" * 10)
            self.close_connection = True
        elif "watch" in asked:
            cluster.watches.append(asked)
            self._watch(int(asked["resourceVersion"]), float(asked["timeoutSeconds"]))
        else:
            self._say(200, cluster.listed())

    def _say(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        if self.cluster.fault is Fault.GARBAGE:
            data = data[: len(data) // 2]
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self, version: int, seconds: float) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        until = time.monotonic() + seconds
        cluster = self.cluster
        while (found := cluster.event_after(version, until)) is not None:
            version, event = found
            line = json.dumps(event).encode() + b"\n"
            if cluster.fault is Fault.CUT:
                self._chunk(line[: len(line) // 2])
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._chunk(line)
        if cluster.fault is Fault.GONE:
            gone = {"message": "too old resource version", "code": 410}
            self._chunk(json.dumps({"type": "ERROR", "object": gone}).encode() + b"\n")
        cluster.thaw()
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    told: Cluster

    @override
    def verify_request(self, request: Any, client_address: Any) -> bool:
        return self.told.let_in()

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients go away in the middle of everything."""


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Serve until the block ends."""
    folder.mkdir()
    authority = trustme.CA()
    ca_file, token_file = folder / "ca.crt", folder / "token"
    authority.cert_pem.write_to_path(str(ca_file))
    token_file.write_text(FIRST_TOKEN + "\n")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    made = Cluster("", ca_file, token_file)
    with _listening(made, context, 0) as port:
        made.url = f"https://{HOST}:{port}"
        yield made


@contextmanager
def _listening(told: Cluster, context: ssl.SSLContext, port: int) -> Iterator[int]:
    handler = type("Handler", (_Handler,), {"cluster": told})
    server = _Server((HOST, port), handler)
    server.told = told
    plain = server.socket
    # The handshake is for the connection's own thread: a client that is slow holds up no other.
    server.socket = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        told.fault = Fault.NONE
        server.shutdown()
        thread.join()
        server.server_close()
        told.hang_up()
