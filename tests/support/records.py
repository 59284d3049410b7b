"""Requests of records as bytes, and many of them at once."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from loopback import Answer, Client

_AT_ONCE = 32
"""Requests that a client sends ahead: as many as the server takes from one connection."""


def post(
    records: object, pipeline: str, headers: Mapping[str, str] | None = None, *, query: str = ""
) -> bytes:
    """Give a request for inference; `records` that are bytes already are sent as they are."""
    body = records if isinstance(records, bytes) else json.dumps(records).encode()
    fields = {"Host": "tests", "Content-Length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST /pipelines/{pipeline}{query} HTTP/1.1\r\n{lines}\r\n".encode() + body


def get(path: str, method: str = "GET") -> bytes:
    """Give a request without a body."""
    return f"{method} {path} HTTP/1.1\r\nHost: tests\r\n\r\n".encode()


def exchange(clients: Sequence[Client], requests: Iterable[bytes]) -> Iterator[Answer]:
    """Send requests ahead on several connections in turn; gives the answers in their order."""
    left = iter(requests)
    while True:
        sent = []
        for client in clients:
            batch = list(islice(left, _AT_ONCE))
            if batch:
                client.send(b"".join(batch))
                sent.append((client, len(batch)))
        if not sent:
            return
        for client, count in sent:
            for _ in range(count):
                yield client.answer()


def row(answer: Answer) -> dict[str, Any]:
    """The only row of a good answer."""
    assert answer.status == 200, answer.body
    (only,) = answer.json
    return dict(only)
