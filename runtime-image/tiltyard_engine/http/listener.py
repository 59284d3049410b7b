"""The listening side of any protocol: sockets, the sweep, draining."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from typing import Final

from tiltyard_engine.http.members import QUIET, Members

_BACKLOG: Final = 4096  # the kernel lowers it to net.core.somaxconn


class Listener:
    """Accepts connections and sees to their deadlines.

    Args:
        members: register of the connections.
        connect: makes the protocol of a new one.

    """

    def __init__(self, members: Members, connect: Callable[[], asyncio.Protocol]) -> None:
        self._members = members
        self._connect = connect
        self._listeners: list[tuple[socket.socket, asyncio.Server]] = []
        self._arrivals: set[asyncio.Task[object]] = set()
        self._sweep_at: asyncio.TimerHandle | None = None
        self._swept_at = 0.0

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._members.connections)

    async def start(self, *sockets: socket.socket) -> None:
        """Accept on sockets that are bound, and may already be listening."""
        loop = asyncio.get_running_loop()
        for listening in sockets:
            listener = await loop.create_server(self._connect, sock=listening, backlog=_BACKLOG)
            self._listeners.append((listening, listener))
        self._swept_at = loop.time()
        self._sweep_later(loop)

    def drain(self) -> None:
        """Make each answer its connection's last and close the idle ones; still accept."""
        self._members.drain()
        asyncio.get_running_loop().call_later(QUIET, self._sweep)

    def stop_accepting(self) -> None:
        """Take what the kernel has already accepted for us, then close the listening sockets."""
        loop = asyncio.get_running_loop()
        for listening, listener in self._listeners:
            for arrived in _accepted(listening):
                task = loop.create_task(loop.connect_accepted_socket(self._connect, arrived))
                self._arrivals.add(task)
                task.add_done_callback(self._arrivals.discard)
            listener.close()
        self._listeners.clear()

    async def finished(self, grace: float) -> bool:
        """Wait until all connections are gone; abort those that are not after `grace` seconds."""
        try:
            async with asyncio.timeout(grace):
                await asyncio.gather(*self._arrivals, return_exceptions=True)
                await self._members.deserted.wait()
            in_time = True
        except TimeoutError:
            in_time = False
            for connection in tuple(self._members.connections):
                connection.abort()
            await self._members.deserted.wait()
        if self._sweep_at is not None:
            self._sweep_at.cancel()
        return in_time

    def _sweep_later(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep_at = loop.call_later(self._members.pause, self._sweep_and_go_on, loop)

    def _sweep_and_go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep_later(loop)
        self._sweep()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        self._members.sweep(now - self._swept_at)
        self._swept_at = now


def bind(host: str, port: int, count: int) -> list[socket.socket]:
    """Listen on one address with `count` sockets, among which the kernel divides connections.

    The first socket is bound without SO_REUSEPORT, which alone would let us share a port that some
    other program of ours holds; it joins the others afterwards.

    Raises:
        OSError: when the address cannot be had; the message says which and what to do.

    """
    sockets: list[socket.socket] = []
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        for number in range(count):
            sock = socket.socket(family, socket.SOCK_STREAM)
            sockets.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, min(number, 1))
            sock.bind(address)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            address = sock.getsockname()  # where the system chose the port, all have the same
        for sock in sockets:
            sock.setblocking(False)
            sock.listen(_BACKLOG)
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise OSError(error.errno, _why_not(host, port, error)) from error
    return sockets


def _why_not(host: str, port: int, error: OSError) -> str:
    remedy = {
        errno.EADDRINUSE: "something already listens there; stop it or choose another port",
        errno.EACCES: "ports below 1024 need privileges; choose another port",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"cannot listen on {host} port {port}: {remedy}"


def _accepted(listening: socket.socket) -> Iterator[socket.socket]:
    """Empty the queue of connections that the kernel has accepted."""
    while True:
        try:
            arrived, _ = listening.accept()
        except OSError:  # none is left, or the one that was has gone
            return
        arrived.setblocking(False)
        yield arrived
