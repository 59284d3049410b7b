"""What the connections of one server share."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.answer import AnswerWriter
from tiltyard_engine.http.head import HeadReader
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Handler, Request, Response
from tiltyard_engine.http.reader import BETWEEN, BODY, HEAD, SHUT, Stage

_SWEEPS_PER_LIMIT: Final = 4
_LONGEST_PAUSE: Final = 1.0  # the Date header follows the sweeps
QUIET: Final = 0.25
"""Seconds that an idle connection still gets when draining begins.

A request that is on the wire at that moment would otherwise meet a closed connection.
"""


Refuse = Callable[[Refusal, Request], Response]
"""Gives what the server itself refuses a form; the request is what is known of it by then."""


class Member(Protocol):
    """A connection, as the service sees it."""

    deadline: float
    """When `expire` is due, on the service's clock."""

    def expire(self) -> None:
        """Act on a deadline that has passed."""

    def hurry(self, deadline: float) -> None:
        """Bring the end of an idle connection forward."""

    def abort(self) -> None:
        """Drop the connection and what is owed on it."""


class Service:
    """Handler, limits, clock and the register of open connections.

    The clock moves at sweeps only: requests read a number instead of asking the system, and while
    the loop is held up by a model no deadline comes nearer by more than two sweeps. Deadlines are
    therefore late by up to two sweeps, and never early.
    """

    __slots__ = (
        "connections",
        "deserted",
        "draining",
        "handler",
        "heads",
        "idle_until",
        "limits",
        "now",
        "pause",
        "refuse",
        "waits",
        "writer",
    )

    def __init__(self, handler: Handler, refuse: Refuse, limits: Limits) -> None:
        self.handler = handler
        self.refuse = refuse
        self.limits = limits
        self.heads = HeadReader(limits)
        self.writer = AnswerWriter()
        self.connections: set[Member] = set()
        self.deserted = asyncio.Event()
        self.deserted.set()
        self.draining = False
        self.now = 0.0
        shortest = min(limits.header_timeout, limits.body_timeout, limits.keep_alive, limits.linger)
        self.pause = min(_LONGEST_PAUSE, shortest / _SWEEPS_PER_LIMIT)
        self.waits = {
            BETWEEN: limits.keep_alive,
            HEAD: limits.header_timeout,
            BODY: limits.body_timeout,
            SHUT: limits.linger,
        }
        self.idle_until = self.due(BETWEEN)  # for whoever becomes idle now

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
        """When a wait of at least that long is over, on the service's clock."""
        return self.now + seconds + self.pause

    def due(self, stage: Stage) -> float:
        """When whoever enters a stage now must have left it."""
        return self.after(self.waits[stage])

    def sweep(self, elapsed: float) -> None:
        """Move the clock and see to the connections whose deadline has passed."""
        self.now += min(elapsed, 2 * self.pause)
        self.idle_until = self.due(BETWEEN)
        self.writer.renew()
        for connection in [each for each in self.connections if each.deadline <= self.now]:
            connection.expire()

    def drain(self) -> None:
        """Let every connection end with the answer it is owed, or soon if it is owed none."""
        self.draining = True
        self.waits[BETWEEN] = min(self.limits.keep_alive, QUIET)
        self.idle_until = self.due(BETWEEN)
        for connection in self.connections:
            connection.hurry(self.now + QUIET)
