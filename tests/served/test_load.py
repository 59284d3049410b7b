"""Many clients at once: each gets its own answer, and no process ends at their cost."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

import pytest

from bare_engines import HOST, Compiled, Engine, Workshop, running
from records import exchange, post
from served_models import TROUBLE, hanging, scaled, slow
from waiting import eventually

pytestmark = pytest.mark.served

CLIENTS = 64
FACTORS = {"quick": 2.0, "other": 3.0}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def pipeline(workshop: Workshop) -> Compiled:
    """Two variants by key, of which one is never run in the event loop."""
    models = {"quick": scaled(FACTORS["quick"]), "other": slow(100, FACTORS["other"])}
    variants = [{"model": name, "weight": 1} for name in models]
    steps = [{"name": "price", "split": {"hashKey": {"field": "user"}, "variants": variants}}]
    return workshop.compile("loaded", models, steps)


@dataclass
class Crowd:
    """Clients that ask until they are stopped or refused, and what became of it."""

    port: int
    patient: bool = False
    """Whether a lost connection is opened again instead of being an error."""

    stopping: bool = False
    ids: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    goodbyes: int = 0

    async def client(self, number: int) -> None:
        """Ask with numbers that nobody else asks with."""
        asked = number * 10_000
        while not self.stopping:
            try:
                reader, writer = await asyncio.open_connection(HOST, self.port)
            except OSError:
                if self.patient:
                    continue
                return  # nobody listens any more
            async with closing(writer):
                asked = await self._talk(reader, writer, asked)

    async def _talk(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: int
    ) -> int:
        """Use one connection until it ends; gives the last number that was asked."""
        while not self.stopping and not closed(reader, writer):
            asked += 1
            writer.write(post([{"x": asked, "user": f"u{asked}", "tag": f"t{asked}"}], "loaded"))
            try:
                status, headers, body = await answer_of(reader)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(f"{asked}: {error!r}")
                return asked
            if status != 200:
                self.lost.append(f"{asked}: {status} {body!r}")
                return asked
            self._check(asked, headers, json.loads(body)[0])
            if headers.get("connection") == "close":
                self.goodbyes += 1
                return asked
        return asked

    def _check(self, asked: int, headers: dict[str, str], row: dict[str, Any]) -> None:
        """Hold an answer against its request."""
        assert row["in"] == {"x": asked, "user": f"u{asked}", "tag": f"t{asked}"}
        variant = headers["x-tiltyard-variant"].removeprefix("price=")
        assert row["out"]["y"] == [asked * FACTORS[variant]]
        assert row["metadata"]["inference_id"] == headers["x-tiltyard-inference-id"]
        self.ids.append(headers["x-tiltyard-inference-id"])


def closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the server has closed a connection that owes us nothing.

    Asks the kernel, since our loop may not yet have heard of it: what is written after the close
    nobody has accepted.
    """
    return reader.at_eof() or bool(select([writer.get_extra_info("socket")], [], [], 0)[0])


async def answer_of(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    pairs = (line.partition(": ") for line in head[1:] if line)
    headers = {name.lower(): value for name, _, value in pairs}
    return (
        int(head[0].split()[1]),
        headers,
        await reader.readexactly(int(headers["content-length"])),
    )


@asynccontextmanager
async def closing(writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Close a connection at the end of a block."""
    try:
        yield
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def crowd(engine: Engine, *, patient: bool = False) -> AsyncIterator[Crowd]:
    """Let clients ask while a block runs."""
    made = Crowd(engine.port, patient)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for number in range(CLIENTS):
            group.create_task(made.client(number))
        try:
            yield made
        finally:
            made.stopping = True


async def until(good: Callable[[], bool]) -> None:
    """Wait for what the clients of this loop, or other processes, bring about."""
    while not good():  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)


async def answers(crowd: Crowd, more: int) -> None:
    """Wait until so many more answers came."""
    wanted = len(crowd.ids) + more
    await until(lambda: len(crowd.ids) >= wanted)


def test_each_answer_belongs_to_its_request_and_ids_never_repeat(
    workshop: Workshop, pipeline: Compiled
) -> None:
    ids: list[str] = []

    async def ask(engine: Engine) -> None:
        async with crowd(engine) as asking:
            await answers(asking, 3_000)
        assert asking.lost == []
        ids.extend(asking.ids)

    for _ in ("first start", "restart"):
        with running(workshop, pipeline, workers=2) as engine:
            asyncio.run(ask(engine))
    assert len({one[:16] for one in ids}) == 4, "two workers, twice"
    assert len(set(ids)) == len(ids)


def test_sigterm_under_load_loses_no_request_that_was_accepted(
    workshop: Workshop, pipeline: Compiled
) -> None:
    async def ask(engine: Engine) -> Crowd:
        async with crowd(engine) as asking:
            await answers(asking, 1_000)
            engine.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(engine.process.wait, 45) == 0
        return asking

    with running(workshop, pipeline, workers=2, drain_delay="500ms") as engine:
        asking = asyncio.run(ask(engine))
    assert asking.lost == []
    assert asking.goodbyes >= CLIENTS, "everyone was told to leave"


def test_a_killed_worker_takes_no_other_with_it_and_its_counters_go_on(
    workshop: Workshop, pipeline: Compiled
) -> None:
    async def ask(engine: Engine) -> Crowd:
        async with crowd(engine, patient=True) as asking:
            for _ in range(2):
                await answers(asking, 500)
                before = await asyncio.to_thread(counters, engine)
                victim = engine.workers()[0]
                os.kill(victim, signal.SIGKILL)
                await until(lambda dead=victim: dead not in engine.workers())
                await until(lambda: len(engine.workers()) == 2)
                await answers(asking, 500)
                after = await asyncio.to_thread(counters, engine)
                assert {name for name, value in before.items() if after[name] < value} == set()
        return asking

    with running(workshop, pipeline, workers=2) as engine:
        asking = asyncio.run(ask(engine))
        eventually(lambda: engine.ask("/readyz")[0] == 200)
        eventually(lambda: engine.metric("tiltyard_in_flight_requests") == 0)
        counted = engine.metric("tiltyard_requests_total", code="200")
        assert len(asking.ids) <= counted <= len(asking.ids) + len(asking.lost)
    assert len(asking.lost) <= 2 * CLIENTS, "each client loses at most what it had asked"
    assert len(set(asking.ids)) == len(asking.ids)


def counters(engine: Engine) -> dict[Any, float]:
    """Every sample that must never fall."""
    rising = ("_total", "_count", "_sum", "_bucket")
    return {key: value for key, value in engine.samples().items() if key[0].endswith(rising)}


@pytest.fixture
def stuck(workshop: Workshop) -> Iterator[Engine]:
    """An engine one of whose workers runs a model that does not end."""
    models = {"bad": hanging()}
    steps = [{"name": "only", "model": "bad"}]
    pipeline = workshop.compile("loaded", models, steps, bad={"timeout": "60s"})
    with running(workshop, pipeline, flags=["--grace", "1s"], workers=2) as engine:
        engine.connect().send(post([{"x": TROUBLE}], "loaded"))
        eventually(lambda: engine.metric("tiltyard_in_flight_requests") == 1)
        yield engine


def test_a_killed_supervisor_leaves_no_process_behind(stuck: Engine) -> None:
    stuck.end(signal.SIGKILL)
    eventually(stuck.group, lambda left: left == [])


def test_a_request_that_never_ends_does_not_keep_the_engine_beyond_its_grace(stuck: Engine) -> None:
    stuck.end()
    assert stuck.group() == []
    assert "requests were cut off" in stuck.log()


def test_counters_outlive_every_process_of_the_engine(
    workshop: Workshop, pipeline: Compiled, tmp_path: Path
) -> None:
    flags = ["--state", str(tmp_path / "state")]
    asked = [post([{"x": n, "user": f"u{n}"}], "loaded") for n in range(100)]
    for started, number in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGTERM), start=1):
        with running(workshop, pipeline, flags=flags) as engine:
            assert all(a.status == 200 for a in exchange([engine.connect()], asked))
            eventually(lambda: engine.metric("tiltyard_in_flight_requests") == 0)
            assert engine.metric("tiltyard_requests_total", code="200") == 100 * started
            assert engine.metric("tiltyard_request_seconds_count") == 100 * started
            engine.end(number)
            eventually(engine.group, lambda left: left == [])
