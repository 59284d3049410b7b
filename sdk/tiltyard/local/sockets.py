"""The listening sockets of an engine on this machine."""

import errno
import socket
from dataclasses import dataclass

from tiltyard.failure import Failure

BACKLOG = 4096
"""Connections that may wait for an engine; the kernel lowers it to net.core.somaxconn."""

GRPC_OPTION = "--grpc-port"

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - not bound here
"""Where to reach a socket that listens on all addresses."""


class PortTaken(Failure):
    """Something else listens there."""

    def __init__(self, host: str, port: int, option: str) -> None:
        remedy = f"something does already; stop it or choose another {option}"
        super().__init__(f"cannot listen on {host} port {port}: {remedy}")
        self.port = port
        self.option = option


@dataclass(frozen=True, slots=True)
class Sockets:
    """Sockets that outlive the engines that serve on them."""

    data: tuple[socket.socket, ...]
    """One a worker: the kernel divides new connections between them."""

    management: socket.socket
    grpc: tuple[socket.socket, ...] = ()
    """Likewise one a worker; empty where nothing is served over gRPC."""

    def close(self) -> None:
        """Stop listening, unless an engine still does."""
        for one in (*self.data, self.management, *self.grpc):
            one.close()


def open_sockets(
    host: str, port: int, management_port: int, workers: int, grpc_port: int | None = None
) -> Sockets:
    """Listen on both ports, and on the one of gRPC if there shall be one; 0 is any free one.

    Raises:
        PortTaken: something else listens on one of them.
        Failure: the address cannot be had for another reason.

    """
    opened: list[socket.socket] = []
    calls = 0 if grpc_port is None else workers
    try:
        opened += _bind(host, port, workers, "--port")
        opened += _bind(host, management_port, 1, "--management-port")
        opened += _bind(host, grpc_port or 0, calls, GRPC_OPTION)
    except Failure:
        for one in opened:
            one.close()
        raise
    for one in opened:
        one.setblocking(False)
        one.listen(BACKLOG)
    return Sockets(tuple(opened[:workers]), opened[workers], tuple(opened[workers + 1 :]))


def url_of(listening: socket.socket) -> str:
    """Address of a socket for clients on this machine."""
    host, port = listening.getsockname()[:2]
    host = EVERYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind(host: str, port: int, count: int, option: str) -> list[socket.socket]:
    """Bind the first socket alone, so that a port which anyone holds is refused; then share it."""
    sockets: list[socket.socket] = []
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        for number in range(count):
            one = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, min(number, 1))
            one.bind(address)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = one.getsockname()
    except OSError as error:
        for one in sockets:
            one.close()
        raise _why_not(host, port, option, error) from error
    return sockets


def _why_not(host: str, port: int, option: str, error: OSError) -> Failure:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(host, port, option)
    why = error.strerror or str(error)
    if error.errno == errno.EACCES:
        why = f"that needs privileges; choose another {option}"
    return Failure(f"cannot listen on {host} port {port}: {why}")
