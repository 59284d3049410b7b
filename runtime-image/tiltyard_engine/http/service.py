"""What the connections of one server share."""

from collections.abc import Callable

from typing_extensions import override

from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.answer import AnswerWriter
from tiltyard_engine.http.head import HeadReader
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.members import QUIET, Members
from tiltyard_engine.http.message import Handler, Request, Response
from tiltyard_engine.http.reader import BETWEEN, BODY, HEAD, SHUT, Stage

Refuse = Callable[[Refusal, Request], Response]
"""Gives what the server itself refuses a form; the request is what is known of it by then."""


class Service(Members):
    """Handler, limits, clock and the register of open connections."""

    __slots__ = ("handler", "heads", "idle_until", "refuse", "waits", "writer")

    def __init__(self, handler: Handler, refuse: Refuse, limits: Limits) -> None:
        super().__init__(limits)
        self.handler = handler
        self.refuse = refuse
        self.heads = HeadReader(limits)
        self.writer = AnswerWriter()
        self.waits = {
            BETWEEN: limits.keep_alive,
            HEAD: limits.header_timeout,
            BODY: limits.body_timeout,
            SHUT: limits.linger,
        }
        self.idle_until = self.due(BETWEEN)  # for whoever becomes idle now

    def due(self, stage: Stage) -> float:
        """When whoever enters a stage now must have left it."""
        return self.after(self.waits[stage])

    @override
    def tick(self, elapsed: float) -> None:
        super().tick(elapsed)
        self.idle_until = self.due(BETWEEN)
        self.writer.renew()

    @override
    def drain(self) -> None:
        self.waits[BETWEEN] = min(self.limits.keep_alive, QUIET)
        self.idle_until = self.due(BETWEEN)
        super().drain()
