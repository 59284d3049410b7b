"""Asks the API server, as the pod's service account: the only module that talks to it.

One object is all that an engine wants of a cluster, and the official client brings three hundred
modules and 11 MB. So this is HTTP/1.1, one question a connection, with the parser of httptools.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httptools
import msgspec

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 5.0
"""Until an answer begins; how long it may take is the asker's to say."""

READ_BYTES: Final = 64 * 1024

MAX_BODY_BYTES: Final = 8 * 1024 * 1024
"""A ConfigMap holds at most 1 MiB; JSON may write each of its characters with six."""


_SHOWN: Final = 500
"""Characters of a refusal that nobody of Kubernetes wrote: a proxy may answer with a page."""


class Status(msgspec.Struct):
    """How Kubernetes says no."""

    message: str = ""
    code: int = 0


class ApiError(Exception):
    """The API server says no, or nothing that can be understood."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Where the API server is and who we are to it."""

    host: str
    port: int
    token_file: Path
    """Read for each question, as the next: Kubernetes changes it within the hour."""

    ca_file: Path


class Answer:
    """An answer of the API server that begins well; the rest is yet to come."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self._parser = httptools.HttpResponseParser(self)
        self._begun = False
        self._complete = False
        self._parts: list[bytes] = []

    async def whole(self) -> bytes:
        """Read it to its end.

        Raises:
            ApiError: it is too long, or damaged.
            OSError: the connection broke.

        """
        parts, size = [], 0
        async for part in self._body():
            size += len(part)
            _bound(size)
            parts.append(part)
        return b"".join(parts)

    async def lines(self) -> AsyncIterator[bytes]:
        """Read its lines as they come.

        Raises:
            ApiError: one is too long, or the answer is damaged.
            OSError: the connection broke.

        """
        rest = b""
        async for part in self._body():
            *whole, rest = (rest + part).split(b"\n")
            for line in whole:
                yield line
            _bound(len(rest))
        if rest:
            raise ApiError("the API server's answer ends within a line")

    async def begin(self) -> None:
        """Read its head, and the whole where it is a refusal.

        Raises:
            ApiError: the API server refuses, or says what is not HTTP.
            OSError: the connection broke.

        """
        while not self._begun:
            await self._more()
        status = self._parser.get_status_code()
        if status != HTTPStatus.OK:
            raise ApiError(f"the API server says {status}: {_why(await self.whole())}")

    async def _body(self) -> AsyncIterator[bytes]:
        while True:
            parts, self._parts = self._parts, []
            if parts:
                yield b"".join(parts)
            if self._complete:
                return
            await self._more()

    async def _more(self) -> None:
        data = await self._reader.read(READ_BYTES)
        if not data:
            raise ApiError("the API server hung up in the middle of an answer")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            raise ApiError(f"the API server does not speak HTTP: {error}") from error

    def on_headers_complete(self) -> None:
        """Note that the status is known; the parser calls this, and what follows."""
        self._begun = True

    def on_body(self, data: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(data)

    def on_message_complete(self) -> None:
        """Note that nothing more will come."""
        self._complete = True


@asynccontextmanager
async def asked(server: ApiServer, target: str) -> AsyncIterator[Answer]:
    """Ask for something, on a connection that ends with the block.

    Raises:
        ApiError: the API server refuses, or cannot be understood.
        OSError: it cannot be reached, or its certificate is not the one that we know.

    """
    context = ssl.create_default_context(cafile=str(server.ca_file))
    async with asyncio.timeout(CONNECT_SECONDS):
        # The limit is beyond what we take: a reader that has to pause would lose what the kernel
        # still holds when the other side has closed.
        reader, writer = await asyncio.open_connection(
            server.host, server.port, ssl=context, limit=MAX_BODY_BYTES
        )
    try:
        writer.write(_question(server, target))
        answer = Answer(reader)
        async with asyncio.timeout(ANSWER_SECONDS):
            await answer.begin()
        yield answer
    finally:
        writer.transport.abort()  # a peer that is frozen would not take part in a longer goodbye


def _question(server: ApiServer, target: str) -> bytes:
    host = f"[{server.host}]" if ":" in server.host else server.host
    lines = (
        f"GET {target} HTTP/1.1".encode(),
        f"Host: {host}:{server.port}".encode(),
        b"Authorization: Bearer " + server.token_file.read_bytes().strip(),
        b"Accept: application/json",
        b"Connection: close",
        b"User-Agent: tiltyard-engine",
    )
    return b"\r\n".join((*lines, b"", b""))


def _bound(size: int) -> None:
    if size > MAX_BODY_BYTES:
        raise ApiError(f"the API server's answer is over {MAX_BODY_BYTES >> 20} MiB")


def _why(body: bytes) -> str:
    """What a refusal says, whether or not it is the API server's own."""
    try:
        return msgspec.json.decode(body, type=Status).message
    except msgspec.DecodeError:
        return body.decode(errors="replace").strip()[:_SHOWN]
