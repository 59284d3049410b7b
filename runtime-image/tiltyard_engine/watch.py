"""Follows one ConfigMap of the cluster by name.

Each turn reads the ConfigMap and then watches it for a while. A change is heard
as it happens; what a watch should have told and did not is found by the next reading. So a
resource version is never older than one turn, and bookmarks have nothing to save.
"""

import asyncio
import random
import traceback
from contextlib import suppress
from typing import Final, TypeVar
from urllib.parse import urlencode

import msgspec

from tiltyard_engine.handover import Handover
from tiltyard_engine.kubeapi import ApiError, Status, asked
from tiltyard_engine.log import log
from tiltyard_engine.settings import WatchSettings

Told = TypeVar("Told")

READ_SECONDS: Final = 10.0
OVERTIME_SECONDS: Final = 5.0
"""How much longer than it should a watch may last before its connection counts as dead."""

PAUSES: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before another attempt, by how many failed in a row; thousands of pods may wait, so each
takes between half and all of it."""


class _Metadata(msgspec.Struct, rename="camel"):
    resource_version: str


class _ConfigMap(msgspec.Struct):
    data: dict[str, str] | None = None


class _ConfigMapList(msgspec.Struct):
    metadata: _Metadata
    items: list[_ConfigMap] | None = None


class _Event(msgspec.Struct):
    type: str
    object: msgspec.Raw


class Watch:
    """Keeps a handover supplied with what the ConfigMap says."""

    def __init__(self, settings: WatchSettings, handover: Handover) -> None:
        self._settings = settings
        self._handover = handover
        self._up: bool | None = None
        self._since: float | None = None
        """When the watch of this turn began."""

        self._looked = asyncio.Event()
        self._path = f"/api/v1/namespaces/{settings.namespace}/configmaps?"
        self._selector = {"fieldSelector": f"metadata.name={settings.name}"}

    async def first_look(self, wait: float) -> None:
        """Wait until the cluster was asked once, whatever came of it, but not for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._looked.wait()

    async def run(self) -> None:
        """Follow the ConfigMap for ever; that it cannot be had changes nothing that is served."""
        failures = 0
        while True:
            why = await self._turn()
            self._looked.set()
            # Connections end for many reasons. It matters when the next attempt fails as well.
            failures = 0 if self._watched_long() else failures + 1
            if why and failures:
                self._failing(why)
            pause = PAUSES[min(failures, len(PAUSES) - 1)]
            await asyncio.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - no secret

    async def _turn(self) -> str | None:
        """Read and watch once; gives what went wrong."""
        self._since = None
        try:
            version = await self._read()
            self._looked.set()
            await self._watch(version)
        except (OSError, ApiError) as error:
            return str(error) or "no answer in time"
        except Exception:  # noqa: BLE001 - the probes, in the same process, must go on
            return traceback.format_exc()
        return None

    async def _read(self) -> str:
        """Read the ConfigMap as it is; gives the version to watch from."""
        target = self._path + urlencode(self._selector)
        async with asyncio.timeout(READ_SECONDS), asked(self._settings.server, target) as answer:
            body = await answer.whole()
        found = _decode(body, _ConfigMapList)
        self._offer(found.items[0] if found.items else None)
        return found.metadata.resource_version

    async def _watch(self, version: str) -> None:
        """Hear of changes until the API server ends the watch."""
        period = max(1, round(self._settings.period))
        query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": str(period)}
        target = self._path + urlencode(self._selector | query)
        most = period + OVERTIME_SECONDS
        async with asyncio.timeout(most), asked(self._settings.server, target) as answer:
            self._working()
            async for line in answer.lines():
                event = _decode(line, _Event)
                match event.type:
                    case "ADDED" | "MODIFIED":
                        self._offer(_decode(event.object, _ConfigMap))
                    case "DELETED":
                        self._offer(None)
                    case "ERROR":
                        status = _decode(event.object, Status)
                        raise ApiError(f"the watch ended: {status.code}: {status.message}")
                    case other:
                        raise ApiError(f"the watch tells of an event {other!r}")

    def _offer(self, found: _ConfigMap | None) -> None:
        self._handover.offer(None if found is None else found.data or {})

    def _watched_long(self) -> bool:
        if self._since is None:
            return False
        return asyncio.get_running_loop().time() - self._since > self._settings.period / 2

    def _working(self) -> None:
        self._since = asyncio.get_running_loop().time()
        self._handover.watch_up(1)
        if self._up is False:
            log("routing tables are watched again")
        self._up = True

    def _failing(self, why: str) -> None:
        self._handover.watch_up(0)
        if self._up is not False:
            log("routing tables cannot be watched, the last good ones stay in force", why=why)
        self._up = False


def _decode(body: bytes | msgspec.Raw, kind: type[Told]) -> Told:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(f"the API server's answer cannot be read: {error}") from error
