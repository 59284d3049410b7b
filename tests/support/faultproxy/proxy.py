"""A proxy between an operator and the API server, which lets chosen requests go wrong.

It speaks plain HTTP to the operator, so that no certificate stands in the way; the operator's token
is passed on, so that its rights are its own.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from cluster.plane import ControlPlane
from faultproxy.exchange import Asked, Exchange, Reset, reset
from faultproxy.faults import Fault, forward
from faultproxy.watches import Spoiler, Stream, untouched

_SECONDS = 30.0
_LONGEST_LINE = 1 << 24


@dataclass
class Write:
    """A request that may have changed something."""

    number: int
    """From 1, in the order in which they came."""

    asked: Asked
    status: int | None = None
    """What the operator was told; None: nothing."""

    at: float = field(default_factory=time.monotonic)
    """When it came."""

    def __str__(self) -> str:
        return f"{self.number}: {self.asked} -> {self.status}"


def of_interest(asked: Asked) -> bool:
    """Tell writes that a reconcile is made of from those that come by the clock."""
    return asked.writes and asked.plural not in ("leases", "events")


class FaultProxy:
    """What a test tells the proxy, and what it saw."""

    def __init__(self) -> None:
        self.url = ""
        self.writes: list[Write] = []
        self.fault: Callable[[Asked], Fault] = lambda _: forward
        """Says what shall happen to a request."""

        self.spoiler: Spoiler = untouched
        """What shall happen to each event of a watch."""

        self._at: dict[int, Fault] = {}
        self._streams: set[Stream] = set()
        self._loop = asyncio.new_event_loop()

    def at_write(self, number: int, fault: Fault) -> None:
        """Let the write with this number go wrong, counted from the first that comes now."""
        self.writes.clear()
        self._at = {number: fault}

    @property
    def pending(self) -> bool:
        """Whether a fault still waits for its write."""
        return bool(self._at)

    def forget(self) -> None:
        """Forget what was seen, and let nothing go wrong any more."""
        self.writes.clear()
        self._at = {}
        self.fault = lambda _: forward
        self.spoiler = untouched

    def inject(self, plural: str, line: bytes) -> int:
        """Put an event into the open watches of a kind; says how many there are."""
        return self._call(self._inject(plural, line))

    def end_watches(self, plural: str) -> int:
        """End the open watches of a kind; says how many there were."""
        return self._call(self._end(plural))

    async def _inject(self, plural: str, line: bytes) -> int:
        found = [stream for stream in self._streams if stream.asked.plural == plural]
        for stream in found:
            stream.inject(line)
        return len(found)

    async def _end(self, plural: str) -> int:
        found = [stream for stream in self._streams if stream.asked.plural == plural]
        for stream in found:
            stream.end()
        return len(found)

    def _call(self, work: Coroutine[Any, Any, int]) -> int:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_SECONDS)

    async def handle(
        self, request: web.Request, session: aiohttp.ClientSession, url: str
    ) -> web.StreamResponse:
        """Serve one request, with its fault."""
        exchange = Exchange(request, await request.read(), session, url)
        write = self._note(exchange.asked)
        fault = self._at.pop(write.number, None) or self.fault(exchange.asked)
        try:
            if exchange.asked.watches and fault is forward:
                return await self._watch(exchange)
            response = await fault(exchange)
            write.status = response.status
        except (Reset, aiohttp.ClientError):
            reset(request)
            return web.Response()  # nobody hears it
        return response

    def _note(self, asked: Asked) -> Write:
        """Number a request, if it writes."""
        if not of_interest(asked):
            return Write(0, asked)
        write = Write(len(self.writes) + 1, asked)
        self.writes.append(write)
        return write

    async def _watch(self, exchange: Exchange) -> web.StreamResponse:
        stream = Stream(exchange, lambda: self.spoiler)
        self._streams.add(stream)
        try:
            return await stream.run()
        finally:
            self._streams.discard(stream)

    async def serve(self, plane: ControlPlane) -> web.AppRunner:
        """Begin to listen."""
        trust = ssl.create_default_context(cafile=str(plane.ca))
        timeout = aiohttp.ClientTimeout(total=None)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trust, limit=0),
            timeout=timeout,
            auto_decompress=False,
            read_bufsize=_LONGEST_LINE,
        )

        async def handler(request: web.Request) -> web.StreamResponse:
            return await self.handle(request, session, plane.url)

        app = web.Application(client_max_size=_LONGEST_LINE)
        app.router.add_route("*", "/{path:.*}", handler)
        app.on_cleanup.append(lambda _: session.close())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    @contextmanager
    def running(self, plane: ControlPlane) -> Iterator["FaultProxy"]:
        """Serve in a thread of its own until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        thread.start()
        runner = asyncio.run_coroutine_threadsafe(self.serve(plane), self._loop).result(_SECONDS)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_stop(runner), self._loop).result(_SECONDS)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()


async def _stop(runner: web.AppRunner) -> None:
    """End what is open; connections under TLS take some turns of the loop to close."""
    await runner.cleanup()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.1)
