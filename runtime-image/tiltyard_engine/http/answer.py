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
_WORTH_NO_COPY: Final = 64 * 1024  # from here on a second buffer in `writev` is cheaper


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

    def write(self, out: list[bytes], response: Response, head: Head, persistence: bytes) -> None:
        """Append the bytes of an answer to the request with that head."""
        status = response.status
        opening = self._openings.get(status) or self._open(status)
        body = response.body
        length = len(body)
        if status in _NEVER_A_BODY:
            out.append(b"%b%b%b\r\n" % (opening, persistence, response.headers))
        elif head.bodiless or length >= _WORTH_NO_COPY:
            out.append(
                b"%bContent-Length: %d\r\n%b%b\r\n"
                % (opening, length, persistence, response.headers)
            )
            if not head.bodiless:
                out.append(body)
        else:
            out.append(
                b"%bContent-Length: %d\r\n%b%b\r\n%b"
                % (opening, length, persistence, response.headers, body)
            )

    def _open(self, status: int) -> bytes:
        line = f"HTTP/1.1 {status} {_PHRASE.get(status, '')}\r\nDate: {self._date}\r\n"
        opening = line.encode("ascii")
        self._openings[status] = opening
        return opening
