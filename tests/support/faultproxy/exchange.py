"""One request on its way through the proxy, and what a fault may do with it."""

import json
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

Object = dict[str, Any]

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_PATH = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/?]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>.+))?"
)
_NOT_PASSED_ON = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True)
class Asked:
    """What a request is about."""

    method: str
    path: str
    query: Mapping[str, str]
    body: bytes
    token: str = ""
    """By which the operator says who it is."""

    @property
    def writes(self) -> bool:
        """Whether it may change something."""
        return self.method in WRITING

    @property
    def watches(self) -> bool:
        """Whether its answer is a stream of events."""
        return self.query.get("watch") in ("true", "1")

    @property
    def namespace(self) -> str:
        """Namespace, where there is one."""
        return self._part("namespace")

    @property
    def plural(self) -> str:
        """What kind of objects, in lower case and plural."""
        return self._part("plural")

    @property
    def subresource(self) -> str:
        """Such as `status`, where there is one."""
        return self._part("subresource")

    @property
    def name(self) -> str:
        """Name of the object; of one that is to be created, from the body."""
        found = self._part("name")
        if not found and self.method == "POST":
            found = str(json.loads(self.body).get("metadata", {}).get("name", ""))
        return found

    def _part(self, name: str) -> str:
        found = _PATH.fullmatch(self.path)
        return (found[name] or "") if found else ""

    def __str__(self) -> str:
        subresource = f"/{self.subresource}" if self.subresource else ""
        return f"{self.method} {self.plural}/{self.name}{subresource}"


class Reset(Exception):  # noqa: N818 - what happens, not an error
    """The connection of the client is to be reset."""


class Exchange:
    """A request, the API server that it is for, and the client that waits."""

    def __init__(
        self, request: web.Request, body: bytes, session: aiohttp.ClientSession, url: str
    ) -> None:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.asked = Asked(request.method, request.path, dict(request.query), body, token)
        self.request = request
        self._session = session
        self._url = url

    def send(self) -> "aiohttp.client._RequestContextManager":
        """Ask the API server."""
        headers = {
            name: value
            for name, value in self.request.headers.items()
            if name.lower() not in _NOT_PASSED_ON
        }
        where = self._url + self.request.raw_path
        return self._session.request(
            self.request.method, where, data=self.asked.body or None, headers=headers
        )

    async def forward(self) -> web.Response:
        """Ask the API server and pass its answer on."""
        async with self.send() as answer:
            headers = {
                name: value
                for name, value in answer.headers.items()
                if name.lower() not in _NOT_PASSED_ON
            }
            return web.Response(status=answer.status, body=await answer.read(), headers=headers)


def reset(request: web.Request) -> None:
    """Reset a connection: the client sees an error, not an end."""
    transport = request.transport
    if transport is None:
        return
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
