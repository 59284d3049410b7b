"""The register of a listener's connections, and the clock that their deadlines are on."""

import asyncio
from typing import Final, Protocol

from tiltyard_engine.http.limits import Limits

_SWEEPS_PER_LIMIT: Final = 4
_LONGEST_PAUSE: Final = 1.0  # the Date header follows the sweeps
QUIET: Final = 0.25
"""Seconds that an idle connection still gets when draining begins.

A request that is on the wire at that moment would otherwise meet a closed connection.
"""


class Member(Protocol):
    """A connection, as the register sees it."""

    deadline: float
    """When `expire` is due, on the register's clock."""

    def expire(self) -> None:
        """Act on a deadline that has passed."""

    def hurry(self, deadline: float) -> None:
        """Bring the end of an idle connection forward."""

    def abort(self) -> None:
        """Drop the connection and what is owed on it."""


class Members:
    """Who is connected.

    The clock moves at sweeps only: requests read a number instead of asking the system, and while
    the loop is held up by a model no deadline comes nearer by more than two sweeps. Deadlines are
    therefore late by up to two sweeps, and never early.
    """

    __slots__ = ("connections", "deserted", "draining", "limits", "now", "pause")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.connections: set[Member] = set()
        self.deserted = asyncio.Event()
        self.deserted.set()
        self.draining = False
        self.now = 0.0
        shortest = min(limits.header_timeout, limits.body_timeout, limits.keep_alive, limits.linger)
        self.pause = min(_LONGEST_PAUSE, shortest / _SWEEPS_PER_LIMIT)

    def join(self, connection: Member) -> int:
        """Register a connection; say how many there are with it."""
        self.connections.add(connection)
        self.deserted.clear()
        return len(self.connections)

    def leave(self, connection: Member) -> None:
        """Forget a connection that is gone."""
        self.connections.discard(connection)
        if not self.connections:
            self.deserted.set()

    def after(self, seconds: float) -> float:
        """When a wait of at least that long is over, on this clock."""
        return self.now + seconds + self.pause

    def tick(self, elapsed: float) -> None:
        """Move the clock."""
        self.now += min(elapsed, 2 * self.pause)

    def sweep(self, elapsed: float) -> None:
        """Move the clock and see to the connections whose deadline has passed."""
        self.tick(elapsed)
        for connection in [each for each in self.connections if each.deadline <= self.now]:
            connection.expire()

    def drain(self) -> None:
        """Let every connection end with what it is owed, or soon if that is nothing."""
        self.draining = True
        for connection in self.connections:
            connection.hurry(self.now + QUIET)
