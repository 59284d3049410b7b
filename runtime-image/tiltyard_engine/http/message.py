"""What passes between the server and the application."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Request:
    """One whole request.

    Attributes:
        method: as sent, upper case.
        path: the target before `?`, still percent-encoded.
        query: the target after `?`, or empty.
        headers: lower-cased names; values of a repeated name joined with `, `. Not to be changed:
            requests with the very same head share it.
        body: whole and already unpacked.

    """

    method: str
    path: str
    query: str
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(slots=True)  # frozen would cost a third of a microsecond per answer
class Response:
    r"""One whole answer, not to be changed once it is given.

    Attributes:
        status: the HTTP status.
        body: left out, but counted, when the request was a HEAD.
        headers: further header lines, each ended with `\r\n`. Date, Content-Length and Connection
            are the server's own.

    """

    status: int
    body: bytes
    headers: bytes = b""


Reply = Callable[[Response], None]
"""Called exactly once per request, in the loop's thread; harmless when the client has gone."""

Handler = Callable[[Request, Reply], None]
"""Called once per whole request; may reply at once or later."""
