"""What came back from the API server, and what it means."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import urllib3

from tiltyard_operator.errors import Conflict, Refused, Unavailable
from tiltyard_operator.kinds import Object

JSON = "application/json"

LONGEST_WAIT = 120.0
"""Seconds: a server that asks us to stay away for longer is asked again all the same."""

UNKNOWN_PATH = b"404 page not found"
"""What the API server says, in this one case not as JSON, of a group that it does not have."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Object | bytes | None = None
    content: str = JSON
    accept: str = JSON

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str | None


def read_all(raw: urllib3.BaseHTTPResponse, deadline: float, most: int) -> bytes:
    """Read an answer to its end; give up at the deadline, and where there are too many bytes."""
    pieces = []
    while piece := raw.read1(1 << 16):
        pieces.append(piece)
        most -= len(piece)
        if time.monotonic() > deadline or most < 0:
            raw.close()
            raise TimeoutError("the answer did not end in time, or is too long")
    raw.release_conn()
    return b"".join(pieces)


def judge(call: Call, answer: Answer) -> Object:
    """Take an answer for what it says.

    Raises:
        Conflict: the object is another than we thought.
        Refused: the server does not take this.
        Unavailable: the server could not, or something else answered in its stead.

    """
    said = _parsed(answer.body)
    if 200 <= answer.status < 300 and said is not None:
        return said
    reason = str((said or {}).get("reason") or answer.status)
    message = str((said or {}).get("message") or answer.body[:200].decode(errors="replace"))
    if answer.status == 409:
        raise Conflict(f"{call}: {message}")
    refused = 400 <= answer.status < 500 and answer.status not in (401, 408, 429)
    if refused and (said is not None or answer.body.strip() == UNKNOWN_PATH):
        raise Refused(answer.status, reason, message)
    wait = _seconds(answer.retry_after)
    raise Unavailable(f"{call}: the server answered {answer.status}: {message}", wait)


def _parsed(body: bytes) -> Object | None:
    try:
        said: Any = json.loads(body)
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _seconds(retry_after: str | None) -> float | None:
    if retry_after is None or not retry_after.isdigit():
        return None
    return min(float(retry_after), LONGEST_WAIT)
