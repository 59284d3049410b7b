"""What an engine holds stays bounded, whatever it is sent and however much of it."""

import json
import random
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from bare_engines import Engine, Workshop, running
from records import exchange, get, post
from served_models import failing, scaled
from waiting import eventually

pytestmark = pytest.mark.served

GROWTH = 10.0
"""MB that the engine's processes may grow by after they are warm: caches that fill, fragments of
the heap. A leak of 200 bytes a request would show."""

WARM_UP = 5_000
MEASURED = 50_000
HOSTILE = 2_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    workshop = Workshop(tmp_path)
    models = {"a": scaled(1), "b": scaled(2), "champion": scaled(3), "other": failing()}
    variants = [{"model": "a", "weight": 1}, {"model": "b", "weight": 1}]
    shadow = {"champion": "champion", "challengers": [{"model": "other"}]}
    steps = [
        {"name": "first", "split": {"hashKey": {"field": "user"}, "variants": variants}},
        {"name": "second", "shadow": shadow, "inputs": {"x": "request.x"}},
    ]
    pipeline = workshop.compile("held", models, steps)
    flags = ["--max-body", "1Mi", "--max-header-bytes", "32Ki"]
    with running(workshop, pipeline, flags=flags, workers=2) as started:
        yield started


def held(engine: Engine) -> float:
    """MB of all processes of an engine: what they share counts once, files do not count."""
    kilobytes = 0
    for pid in engine.group():
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss_Anon:"):
                kilobytes += int(line.split()[1])
    return kilobytes / 1024


def usual() -> Iterator[bytes]:
    """Give requests of which no two are the same, nor their heads."""
    chance = random.Random(5)
    number = 0
    while True:
        number += 1
        rows = [
            {"x": chance.random(), "user": f"user-{number}-{row}", f"c{number % 997}": "v" * row}
            for row in range(1 + (number % 5 == 0) * 3)
        ]
        rows = [{name: row.get(name, 0) for name in rows[0]} for row in rows]
        yield post(rows, "held", {"X-Request-Id": f"request-{number}"})


def hostile() -> Iterator[tuple[bytes, bool]]:
    """Give requests that are refused, and whether the connection must end with them."""
    chance = random.Random(6)
    number = 0
    while True:
        number += 1
        noise = chance.randbytes(1000)
        yield post(noise, "held"), False
        yield post(b"[" * 100_000, "held"), False
        yield post(b'[{"x": ' + b"9" * 5_000 + b"}]", "held"), False
        yield post([{"x": 1, "user": [number]}], "held"), False
        yield post([], f"unknown-{number}", query=f"?colour{number}={number}"), False
        yield post(json.dumps([{f"k{n}-{number}": n for n in range(500)}]).encode(), "held"), False
        yield post([{"x": 1}], "held", {"X-Tiltyard-Variant": f"first=v{number}"}), False
        yield post([{"x": 1}], "held", {"Accept": f"image/{number}"}), False
        yield get(f"/{number}" + "a" * 9_000), True
        yield post([], "held", {f"X-{number}": "h" * 40_000}), True
        yield post(b"", "held", {"Content-Length": str(10**9)}), True
        yield noise.replace(b"\n", b"") + b"\r\n\r\n", True


def send(engine: Engine, requests: Iterable[bytes]) -> int:
    """Send requests; gives how many answers were good."""
    clients = [engine.connect() for _ in range(8)]
    good = sum(answer.status == 200 for answer in exchange(clients, requests))
    engine.hang_up()
    return good


def attack(engine: Engine, number: int) -> None:
    """Send hostile requests, and go away from some in the middle."""
    client = engine.connect()
    for position, (request, ends) in enumerate(islice(hostile(), number)):
        gives_up = position % 10 == 9
        client.send(request[: len(request) // 2] if gives_up else request)
        if not gives_up:
            assert client.answer().status in range(400, 500)
        if ends or gives_up:
            engine.hang_up()
            client = engine.connect()
    engine.hang_up()


def settled(engine: Engine) -> float:
    """MB once all is at rest."""
    eventually(lambda: engine.metric("tiltyard_in_flight_requests") == 0)
    return held(engine)


def test_memory_does_not_grow_with_requests(engine: Engine) -> None:
    stream = usual()
    assert send(engine, islice(stream, WARM_UP)) == WARM_UP
    warm = settled(engine)
    assert send(engine, islice(stream, MEASURED)) == MEASURED
    assert settled(engine) - warm < GROWTH


def test_memory_does_not_grow_under_hostile_requests(engine: Engine) -> None:
    attack(engine, HOSTILE // 2)
    assert send(engine, islice(usual(), 1_000)) == 1_000
    warm = settled(engine)
    attack(engine, HOSTILE)
    assert send(engine, islice(usual(), 1_000)) == 1_000
    assert settled(engine) - warm < GROWTH
