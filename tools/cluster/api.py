"""A client of the API server for tests: JSON in, JSON out, nothing retried, nothing cached."""

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import urllib3

Object = dict[str, Any]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
_SECONDS = 30.0


class ApiError(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message


class Api:
    """One API server, asked as one user. Threads may share it."""

    def __init__(self, url: str, token: str, ca: Path | None = None) -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": JSON}
        self._pool = urllib3.PoolManager(
            maxsize=16, retries=False, timeout=_SECONDS, ca_certs=str(ca) if ca else None
        )

    def close(self) -> None:
        """Close idle connections."""
        self._pool.clear()

    def call(self, method: str, path: str, body: Object | None = None, kind: str = JSON) -> Object:
        """Ask, and read the object of the answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = self._headers if body is None else self._headers | {"Content-Type": kind}
        answer = self._pool.request(method, self.url + path, body=data, headers=headers)
        if answer.status >= 300:
            raise _error(answer.status, answer.data)
        return dict(json.loads(answer.data))

    def text(self, path: str) -> str:
        """Ask for something that is not JSON."""
        answer = self._pool.request(
            "GET", self.url + path, headers=self._headers | {"Accept": "*/*"}
        )
        if answer.status >= 300:
            raise _error(answer.status, answer.data)
        return str(answer.data.decode())

    def get(self, path: str) -> Object | None:
        """Read an object or a list; None where it is not there."""
        try:
            return self.call("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def watch(self, path: str, version: str, seconds: int = 300) -> Generator[Object, None, None]:
        """Give the events of a list that come after a version, until the server ends the watch.

        Args:
            path: the list, with its query.
            version: resourceVersion of the list as it was read.
            seconds: when the server shall end it.

        """
        mark = "&" if "?" in path else "?"
        query = f"watch=true&resourceVersion={version}&timeoutSeconds={seconds}"
        answer = self._pool.request(
            "GET",
            f"{self.url}{path}{mark}{query}",
            headers=self._headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=_SECONDS, read=seconds + _SECONDS),
        )
        try:
            if answer.status >= 300:
                raise _error(answer.status, answer.read())
            for line in answer:
                yield dict(json.loads(line))
        finally:
            answer.close()


def _error(status: int, data: bytes) -> ApiError:
    try:
        said = json.loads(data)
        return ApiError(status, str(said.get("reason")), str(said.get("message")))
    except (ValueError, AttributeError):
        return ApiError(status, "", data.decode(errors="replace")[:1000])
