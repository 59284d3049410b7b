"""Clients that never stop asking, and forgive nothing."""

import http.client
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Pressure:
    """What became of all requests so far."""

    answered: int = 0
    versions: set[str] = field(default_factory=set)
    """Pipeline versions that answered."""

    lost: list[str] = field(default_factory=list)
    """Requests without a good answer."""

    ended: threading.Event = field(default_factory=threading.Event)
    guard: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def pressure(
    url: str, path: str, records: Sequence[object], *, kept: int = 4, fresh: int = 2
) -> Iterator[Pressure]:
    """Send requests until the block ends.

    Args:
        url: data port.
        path: where to send.
        records: the body.
        kept: clients that keep their connections as long as the server lets them.
        fresh: clients that open one for each request.

    """
    seen = Pressure()
    address = urlsplit(url).netloc
    body = json.dumps(records)
    clients = [
        threading.Thread(target=_ask, args=(seen, address, path, body), kwargs={"keep": keep})
        for keep in [True] * kept + [False] * fresh
    ]
    for client in clients:
        client.start()
    try:
        yield seen
    finally:
        seen.ended.set()
        for client in clients:
            client.join()


def _ask(seen: Pressure, address: str, path: str, body: str, *, keep: bool) -> None:
    connection = http.client.HTTPConnection(address, timeout=20)
    headers = {"Content-Type": "application/json"} | ({} if keep else {"Connection": "close"})
    while not seen.ended.is_set():
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            good = answer.status == 200
            version = json.loads(text)[0]["metadata"]["pipeline_version"] if good else ""
            problem = "" if good else f"{answer.status} {text.decode()}"
        except (OSError, http.client.HTTPException) as error:
            problem, version = repr(error), ""
            connection.close()
        with seen.guard:
            if problem:
                seen.lost.append(problem)
            else:
                seen.answered += 1
                seen.versions.add(version)
        seen.ended.wait(0.005)  # the machine has other work
    connection.close()
