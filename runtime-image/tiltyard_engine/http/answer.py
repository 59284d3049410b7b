"""Answers as bytes."""

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from tiltyard_engine.http.head import Head
from tiltyard_engine.http.message import Response

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_PHRASE: Final = {status.value: status.phrase for status in HTTPStatus}
_NEVER_A_BODY: Final = frozenset({204, 304})


class AnswerWriter:
    """Writes answers; keeps the lines that are the same for a whole second."""

    __slots__ = ("_date", "_openings", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._date = ""
        self._openings: dict[int, bytes] = {}
        self.renew()

    def renew(self) -> None:
        """Bring the Date up to the present second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = formatdate(second, usegmt=True)
            self._openings.clear()

    def write(self, response: Response, head: Head, persistence: bytes) -> bytes:
        """Give the bytes of an answer to the request with that head."""
        status = response.status
        opening = self._openings.get(status) or self._open(status)
        body = response.body
        if status in _NEVER_A_BODY:
            return b"%b%b%b\r\n" % (opening, persistence, response.headers)
        return b"%bContent-Length: %d\r\n%b%b\r\n%b" % (
            opening,
            len(body),
            persistence,
            response.headers,
            b"" if head.bodiless else body,
        )

    def _open(self, status: int) -> bytes:
        line = f"HTTP/1.1 {status} {_PHRASE.get(status, '')}\r\nDate: {self._date}\r\n"
        opening = line.encode("ascii")
        self._openings[status] = opening
        return opening
