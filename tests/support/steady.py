"""Steady traffic on connections that are kept, whose every answer is judged."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from manifests import bike_record

_CLIENTS = 8
_SECONDS = 10.0
"""Most that an answer may take: pods that share two processors are slow, not wrong."""

_TRUSTED_SECONDS = 0.2
"""A server that ends gives an idle connection a quarter of a second. A client that a busy machine
held up for longer opens another, as clients with a pool do; at its pace this never happens."""

Expected = Callable[[str], str]
"""What the header of variants says for a key."""


@dataclass
class Traffic:
    """What was sent and what came of it."""

    started: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    answered: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.answered / self.seconds

    def reached(self, count: int) -> bool:
        """Whether so many were answered."""
        return self.answered >= count


def judge(traffic: Traffic) -> None:
    """Insist that every request was answered by the right model."""
    print(f"{traffic.answered} answers, {traffic.rate:.0f} a second")  # noqa: T201 - shown by -rP
    assert traffic.faults == [], f"{len(traffic.faults)} of {traffic.answered}"


@contextmanager
def steady(address: str, path: str, expected: Expected, rate: int = 500) -> Iterator[Traffic]:
    """Send so many requests a second until the block ends.

    Args:
        address: host and port.
        path: of the Pipeline.
        expected: which variant a key must get.
        rate: of all clients together.

    """
    traffic, lock, stop = Traffic(), threading.Lock(), threading.Event()
    pause = _CLIENTS / rate

    def work(number: int) -> None:
        connection = http.client.HTTPConnection(address, timeout=_SECONDS)
        turn, due = 0, time.monotonic()
        used = due
        while not stop.is_set():
            key, turn = f"rider-{number}-{turn}", turn + 1
            if time.monotonic() - used > _TRUSTED_SECONDS:
                connection.close()
            fault = _ask(connection, path, key, expected)
            used = time.monotonic()
            with lock:
                if fault:
                    traffic.faults.append(f"{time.monotonic() - traffic.started:.2f} s: {fault}")
                else:
                    traffic.answered += 1
            due += pause
            stop.wait(max(0.0, due - time.monotonic()))
        connection.close()

    clients = [threading.Thread(target=work, args=[number]) for number in range(_CLIENTS)]
    for client in clients:
        client.start()
    try:
        yield traffic
    finally:
        stop.set()
        for client in clients:
            client.join()
        traffic.seconds = time.monotonic() - traffic.started


def _ask(
    connection: http.client.HTTPConnection, path: str, key: str, expected: Expected
) -> str | None:
    """Send one request; what was wrong with its answer."""
    body = json.dumps([bike_record(rider=key)])
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return repr(error)
    variant = answer.headers["X-Tiltyard-Variant"]
    if answer.status != 200 or variant != expected(key):
        return f"{key}: {answer.status} by {variant}, not {expected(key)}: {text[:300]!r}"
    return None
