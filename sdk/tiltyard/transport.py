"""HTTP to an engine, and what it means when nothing or nonsense comes back."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    LocationValueError,
    NewConnectionError,
    ProtocolError,
)
from urllib3.exceptions import TimeoutError as NoAnswerInTime

from tiltyard.failure import Failure, InferenceError, InferenceTimeoutError

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
        pool: connections of somebody else's making, where an engine is reached through a server.
        authorize: headers which that server wants, asked before each call.

    Raises:
        Failure: the address is none.

    """

    def __init__(
        self,
        url: str,
        connections: int = 1,
        pool: urllib3.PoolManager | None = None,
        authorize: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._url = url.rstrip("/")
        self._authorize = authorize
        self._pool: urllib3.PoolManager | urllib3.HTTPConnectionPool
        if pool:
            self._pool, self._within, self._close = pool, self._url, pool.clear
            return
        # One host's pool need not take the address apart at each call: a quarter of its cost.
        try:
            self._within = urllib3.util.parse_url(self._url).path or ""
            makes = urllib3.PoolManager(maxsize=connections, block=True)
            mine = makes.connection_from_url(self._url)
        except HTTPError as error:
            raise Failure(self._why(error)) from error
        self._pool, self._close = mine, mine.close

    @property
    def url(self) -> str:
        """Where the port is."""
        return self._url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def get(self, path: str) -> Answer:
        """Ask for what is at a path.

        Raises:
            Failure: nothing answered; whatever was answered is returned.

        """
        return self._request("GET", path, None, {}, TIMEOUT)

    def post_json(self, path: str, body: bytes) -> Answer:
        """Send JSON to a path.

        Raises:
            Failure: nothing answered; whatever was answered is returned.

        """
        return self._request("POST", path, body, {"Content-Type": "application/json"}, TIMEOUT)

    def post(self, path: str, body: bytes, headers: Mapping[str, str], seconds: float) -> Answer:
        """Send a body; an engine that went away before it answered is asked once more.

        Raises:
            InferenceTimeoutError: no answer within that many seconds.
            Failure: nothing answered; whatever was answered is returned.

        """
        bounds = urllib3.Timeout(connect=min(5.0, seconds), read=seconds)
        try:
            return self._request("POST", path, body, headers, bounds)
        except Failure as failure:
            if isinstance(failure.__cause__, ProtocolError):
                return self._request("POST", path, body, headers, bounds)
            raise

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        bounds: urllib3.Timeout,
    ) -> Answer:
        try:
            answer = self._pool.urlopen(
                method,
                self._within + path,
                body=body,
                headers={**self._authorize(), **headers},
                redirect=False,
                retries=False,
                timeout=bounds,
            )
        except NoAnswerInTime as error:
            if isinstance(error, ConnectTimeoutError):
                raise Failure(self._why(error)) from error
            raise InferenceTimeoutError(self._why(error)) from error
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


def refusal(answer: Answer) -> InferenceError:
    """Failure that tells what an engine's error answer says."""
    try:
        body = answer.json()
        reason, message = body["reason"], body["error"]
        field, row = body.get("field"), body.get("row")
    except (ValueError, KeyError, TypeError):
        why = f"HTTP {answer.status} and no reason: is an engine at this address?"
        return InferenceError(why, answer.status)
    at = [f"{key} {value}" for key, value in (("field", field), ("row", row)) if value is not None]
    where = f" ({', '.join(at)})" if at else ""
    said = f"{reason}{where}: {message} [HTTP {answer.status}]"
    return InferenceError(said, answer.status, reason, field, row)
