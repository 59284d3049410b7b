"""Cuts the bytes of a connection into requests. No input, no output, no clock."""

import enum

from tiltyard_engine.http.body import Body, body_of
from tiltyard_engine.http.head import END_OF_HEAD, NO_HEAD, Head, HeadReader
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.message import Request
from tiltyard_engine.http.target import path_begun

_EMPTY_LINE = b"\r\n"


class Stage(enum.Enum):
    """What the next byte belongs to."""

    BETWEEN = enum.auto()  # the next request, of which nothing has come
    HEAD = enum.auto()  # a head of which a part has come
    BODY = enum.auto()  # a body
    SHUT = enum.auto()  # nothing: no request is taken any more


# Looking a member up in its class costs more than the comparison.
BETWEEN, HEAD, BODY, SHUT = Stage


class RequestReader:
    """Holds what has come and is not yet a whole request.

    Attributes:
        stage: what the next byte belongs to.
        steps: counts the heads and bodies begun, so that each can have its own deadline.
        expecting: whether the client waits for `100 Continue`.

    """

    __slots__ = (
        "_at",
        "_body",
        "_data",
        "_head",
        "_heads",
        "_limits",
        "expecting",
        "stage",
        "steps",
    )

    def __init__(self, heads: HeadReader, limits: Limits) -> None:
        self._heads = heads
        self._limits = limits
        self._data = b""  # what has come, of which `_at` bytes are taken
        self._at = 0
        self._head = NO_HEAD
        self._body: Body | None = None
        self.stage = BETWEEN
        self.steps = 0
        self.expecting = False

    @property
    def idle(self) -> bool:
        """Whether nothing has come that was not taken."""
        return self.stage is BETWEEN and self._at >= len(self._data)

    def at_hand(self) -> Request:
        """What is known of the request of which the next byte would be, for whoever refuses it."""
        if self.stage is BODY:
            return self._head.request(b"")
        return Request("", path_begun(self._data[self._at :]), "", {}, b"")

    def feed(self, data: bytes) -> None:
        """Add what has come."""
        self._data = self._data[self._at :] + data
        self._at = 0

    def next(self) -> tuple[Head, bytes] | None:
        """Take the next whole request, head and body; None while bytes are missing.

        Raises:
            Refusal: when what has come cannot become a request within the limits.

        """
        if self._at >= len(self._data):
            return None
        if self._body is None:
            head = self._next_head()
            if head is None:
                return None
            start = self._at
            if 0 <= head.length <= len(self._data) - start:
                body = self._data[start : start + head.length]
                self._advance(start + head.length)
                self.stage = BETWEEN
                return head, body
            self._head = head
            self._enter(BODY)
            self._body = body_of(head.length, self._limits)
            self.expecting = head.expects and start == len(self._data)
        return self._next_piece(self._body)

    def _next_piece(self, body: Body) -> tuple[Head, bytes] | None:
        if self._at < len(self._data):
            self.expecting = False
            self._advance(body.take(self._data, self._at))
        if not body.complete:
            return None
        self._body = None
        self.stage = BETWEEN
        return self._head, body.joined()

    def shut(self) -> None:
        """Take nothing more."""
        self.stage = SHUT
        self._data, self._at = b"", 0
        self._body = None
        self.expecting = False

    def _next_head(self) -> Head | None:
        data = self._data
        while data.startswith(_EMPTY_LINE, self._at):  # RFC 9112, 2.2: left over by old clients
            self._at += 2
        start = self._at
        end = data.find(END_OF_HEAD, start)
        if end >= 0:
            stop = end + len(END_OF_HEAD)
            head = self._heads.read(data[start:stop])
            self._at = stop
            return head
        if start < len(data):
            self._heads.check_beginning(data[start:])
            if self.stage is BETWEEN:
                self._enter(HEAD)
        return None

    def _advance(self, at: int) -> None:
        """Count bytes as taken; idle connections must not keep what they once read."""
        if at < len(self._data):
            self._at = at
        else:
            self._data, self._at = b"", 0

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        self.steps += 1
