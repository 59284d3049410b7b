"""Messages in the content of a request: cut out, and unpacked within limits."""

import struct
from typing import Final

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.http.body import unpack
from tiltyard_engine.http.limits import Limits
from tiltyard_engine.http.refusals import body_too_large

PREFIX: Final = struct.Struct(">BL")
"""Whether a message is compressed, and its length."""


def prefixed(message: bytes) -> bytes:
    """Write a message as it travels."""
    return PREFIX.pack(0, len(message)) + message


class MessageReader:
    """Keeps what has come of a message until it is whole.

    Args:
        limits: bound a message, packed and unpacked.
        packed: whether the client said that messages may be compressed.

    Attributes:
        size: bytes that have come and were not taken.

    """

    __slots__ = ("_limits", "_packed", "_pieces", "_wanted", "size")

    def __init__(self, limits: Limits, *, packed: bool) -> None:
        self._limits = limits
        self._packed = packed
        self._pieces: list[bytes] = []
        self.size = 0
        self._wanted = PREFIX.size

    def feed(self, piece: bytes) -> None:
        """Take what has come.

        Raises:
            Refusal: the message is over the limit.

        """
        self._pieces.append(piece)
        self.size += len(piece)
        if self._wanted == PREFIX.size and self.size >= PREFIX.size:
            self._measure()

    def next(self) -> bytes | None:
        """Take the next whole message; None while bytes are missing.

        Raises:
            Refusal: it is over the limit, or does not unpack.

        """
        if self.size < self._wanted or self.size < PREFIX.size:
            return None
        data = b"".join(self._pieces)
        message, rest = data[PREFIX.size : self._wanted], data[self._wanted :]
        flag = data[0]
        self._pieces = [rest]
        self.size = len(rest)
        self._wanted = PREFIX.size
        if self.size >= PREFIX.size:
            self._measure()
        return self._unpacked(message) if flag else message

    def _measure(self) -> None:
        """Learn how long the message is that has begun."""
        first = self._pieces[0]
        if len(first) < PREFIX.size:
            first = b"".join(self._pieces)
            self._pieces = [first]
        flag, length = PREFIX.unpack_from(first)
        if length > self._limits.max_body:
            raise body_too_large(self._limits)
        if flag > int(self._packed):
            raise Refusal(Reason.MALFORMED_BODY, "a message is compressed, and nothing says how")
        self._wanted = PREFIX.size + length

    def _unpacked(self, message: bytes) -> bytes:
        return unpack(b"gzip", message, self._limits)
