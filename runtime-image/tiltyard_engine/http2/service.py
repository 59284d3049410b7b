"""What the HTTP/2 connections of one server share."""

from collections.abc import Callable
from typing import Final

from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.members import Members
from tiltyard_engine.http2.fields import Head
from tiltyard_engine.http2.frames import FIRST_WINDOW, Setting, settings, window_update
from tiltyard_engine.http2.streams import WINDOW, Sink, Stream

MAX_STREAMS: Final = 128
"""Requests of one connection that may be open at once; one more is refused unbegun."""

Handler = Callable[[Head, Stream], Sink]
"""Called once per request, as soon as its head is there."""


class Service(Members):
    """Handler, limits, clock and the register of open connections.

    Attributes:
        window: bytes that all requests of one connection may send ahead of us.
        greeting: what the server says first.

    """

    __slots__ = ("greeting", "handler", "window")

    def __init__(self, handler: Handler, limits: Limits) -> None:
        super().__init__(limits)
        self.handler = handler
        self.window = 4 * WINDOW
        self.greeting = settings(
            {
                Setting.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                Setting.INITIAL_WINDOW_SIZE: WINDOW,
                Setting.MAX_HEADER_LIST_SIZE: limits.max_header_bytes,
            }
        ) + window_update(0, self.window - FIRST_WINDOW)
