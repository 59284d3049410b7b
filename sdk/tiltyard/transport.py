"""HTTP to an engine, and what it means when nothing or nonsense comes back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
)
from urllib3.exceptions import TimeoutError as NoAnswerInTime

from tiltyard.failure import Failure

TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
"""An engine gives its models seconds, not minutes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """Body as data."""
        return json.loads(self.body)


class Transport:
    """Calls to one engine over connections that are kept.

    Args:
        url: where the data port or the management port is.
        connections: how many threads call at once.

    """

    def __init__(self, url: str, connections: int = 1) -> None:
        self._url = url.rstrip("/")
        self._pool = urllib3.PoolManager(
            maxsize=connections, block=True, retries=False, timeout=TIMEOUT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.clear()

    def get(self, path: str) -> Answer:
        """Ask for what is at a path.

        Raises:
            Failure: nothing answered; whatever was answered is returned.

        """
        return self._request("GET", path, None)

    def post_json(self, path: str, body: bytes) -> Answer:
        """Send JSON to a path.

        Raises:
            Failure: nothing answered; whatever was answered is returned.

        """
        return self._request("POST", path, body)

    def _request(self, method: str, path: str, body: bytes | None) -> Answer:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            answer = self._pool.request(
                method, self._url + path, body=body, headers=headers, redirect=False
            )
        except HTTPError as error:
            raise Failure(self._why(error)) from error
        return Answer(answer.status, answer.headers, answer.data)

    def _why(self, error: HTTPError) -> str:
        if isinstance(error, NewConnectionError | ConnectTimeoutError):
            return f"nothing answers at {self._url}: start one with tiltyard serve FILE"
        if isinstance(error, NoAnswerInTime):
            return f"{self._url} took too long to answer: ask its log and its /readyz why"
        if isinstance(error, LocationValueError):
            return f"{self._url} is not the address of an engine: write http://HOST:PORT"
        return f"{self._url} did not answer in HTTP ({error}): is that the data port of an engine?"


def refusal(answer: Answer) -> Failure:
    """Failure that tells what an engine's error answer says."""
    try:
        body = answer.json()
        reason, message = body["reason"], body["error"]
        at = [f"{key} {body[key]}" for key in ("field", "row") if body.get(key) is not None]
    except (ValueError, KeyError, TypeError):
        return Failure(f"HTTP {answer.status} and no reason: is an engine at this address?")
    where = f" ({', '.join(at)})" if at else ""
    return Failure(f"{reason}{where}: {message} [HTTP {answer.status}]")
