"""What can go wrong with the events of a watch.

A spoiler gets each event and says what is sent for it: nothing, itself, itself twice, later.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from aiohttp import web

from faultproxy.exchange import Asked, Exchange, Reset

Object = dict[str, Any]
Spoiler = Callable[[Asked, bytes], AsyncIterator[bytes]]


async def untouched(_: Asked, line: bytes) -> AsyncIterator[bytes]:
    """Pass an event on."""
    yield line


def dropping(which: Callable[[Asked, Object], bool]) -> Spoiler:
    """Leave out events."""

    async def spoiler(asked: Asked, line: bytes) -> AsyncIterator[bytes]:
        if not which(asked, json.loads(line)):
            yield line

    return spoiler


async def doubling(_: Asked, line: bytes) -> AsyncIterator[bytes]:
    """Send each event twice."""
    yield line
    yield line


def delaying(seconds: float) -> Spoiler:
    """Send each event late."""

    async def spoiler(_: Asked, line: bytes) -> AsyncIterator[bytes]:
        await asyncio.sleep(seconds)
        yield line

    return spoiler


async def freezing(_: Asked, line: bytes) -> AsyncIterator[bytes]:
    """Keep the connection and send nothing more, ever."""
    await asyncio.Event().wait()
    yield line


async def cutting(_: Asked, line: bytes) -> AsyncIterator[bytes]:
    """Send half of the event and reset the connection."""
    yield line[: len(line) // 2]
    raise Reset


def error(code: int, reason: str) -> bytes:
    """Give the event by which the API server ends a watch."""
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    said = {**status, "code": code, "reason": reason, "message": "a test ends this watch"}
    return json.dumps({"type": "ERROR", "object": said}).encode() + b"\n"


class Stream:
    """An open watch: what the API server sends, and what a test puts in between."""

    def __init__(self, exchange: Exchange, spoiler: Callable[[], Spoiler]) -> None:
        self.asked = exchange.asked
        self._exchange = exchange
        self._spoiler = spoiler
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._injected: set[bytes] = set()

    def inject(self, line: bytes) -> None:
        """Send an event that is none of the API server's."""
        self._injected.add(line)
        self._lines.put_nowait(line)

    def end(self) -> None:
        """End the stream as the API server does when its time is over."""
        self._lines.put_nowait(None)

    async def run(self) -> web.StreamResponse:
        """Pass events on until either side ends it."""
        async with self._exchange.send() as answer:
            headers = {"Content-Type": answer.headers.get("Content-Type", "application/json")}
            if answer.status != 200:
                return web.Response(status=answer.status, body=await answer.read(), headers=headers)
            response = web.StreamResponse(headers=headers)
            await response.prepare(self._exchange.request)
            reader = asyncio.create_task(self._read(answer.content))
            try:
                while (line := await self._lines.get()) is not None:
                    await self._send(response, line)
            finally:
                reader.cancel()
            return response

    async def _send(self, response: web.StreamResponse, line: bytes) -> None:
        if line in self._injected:
            await response.write(line)
            return
        async for chunk in self._spoiler()(self.asked, line):
            await response.write(chunk)

    async def _read(self, content: Any) -> None:
        try:
            while line := await content.readline():
                self._lines.put_nowait(line)
        finally:
            self._lines.put_nowait(None)
