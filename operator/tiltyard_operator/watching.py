"""kopf as an engine of watches, in a thread of its own.

It lists and watches and does nothing else: without handlers that keep progress it puts no
finalizer and no annotation on anybody's object.
"""

import asyncio
import itertools
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import kopf

from tiltyard_operator.answers import LONGEST_WAIT
from tiltyard_operator.cluster import Credentials
from tiltyard_operator.desired.metadata import MANAGED_BY, query
from tiltyard_operator.handlers import Handler
from tiltyard_operator.kinds import LEASE, MODEL, PIPELINE, Kind
from tiltyard_operator.lease import NAME


class EndlessPauses:
    """Pauses between attempts of a request, without an end.

    kopf gives up when they are used up and ends the process. It iterates anew for each request, so
    this is no generator.
    """

    def __iter__(self) -> Iterator[float]:
        """Start over."""
        for pause in itertools.chain((1, 2, 4, 8, 15), itertools.repeat(30)):
            yield pause * random.uniform(0.75, 1)  # noqa: S311 - jitter


class NothingKept(kopf.DiffBaseStorage):
    """Spares kopf the copies of every object by which it would find differences for handlers."""

    def build(self, **_: object) -> Any:  # noqa: ANN401 - kopf's own type is private
        """Nothing of the object."""
        return {}

    def fetch(self, **_: object) -> Any:  # noqa: ANN401 - likewise
        """Nothing was kept."""
        return None

    def store(self, **_: object) -> None:
        """Keep nothing."""


def configure(settings: kopf.OperatorSettings, kinds: Mapping[Kind, Handler]) -> None:
    """Tell kopf to watch and nothing more, and to outlive an API server that is gone."""
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.posting.loggers = False
    settings.scanning.disabled = True  # no rights on namespaces and CustomResourceDefinitions
    settings.watching.server_timeout = 290
    settings.watching.inactivity_timeout = 70
    settings.watching.reconnect_backoff = random.uniform(0.5, 1)  # noqa: S311 - jitter
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    settings.networking.error_backoffs = EndlessPauses()
    settings.networking.enforce_retry_after = True
    settings.queueing.worker_limit = 200  # objects of one kind that are taken in at once
    settings.queueing.idle_timeout = 0.05  # an idle worker holds one of these places
    settings.process.ultimate_exiting_timeout = None  # it would kill reconciles under way
    settings.persistence.finalizer = "tiltyard.dev/never-set"
    settings.persistence.diffbase_storage = NothingKept()
    for kind in kinds:
        place = (kind.group, kind.version, kind.plural)
        if kind == LEASE:
            settings.watching.field_selectors[place] = f"metadata.name={NAME}"
        elif kind not in (PIPELINE, MODEL):
            settings.watching.label_selectors[place] = query(MANAGED_BY)


def session(found: Credentials) -> kopf.AiohttpSession:
    """Give what kopf asks with: as it would make it, but that it takes no absurd wish for one."""
    info = connection(found)
    made = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
        headers=info.as_http_headers(),
        trust_env=info.trust_env,
        middlewares=[within_reason],
    )
    return kopf.AiohttpSession(server=info.server, aiohttp_session=made)


async def within_reason(
    asked: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Let nobody send us away for years, which kopf would take literally: it pauses as it does."""
    answer = await handler(asked)
    wait = answer.headers.get("Retry-After", "0")
    if answer.status == 429 and not (wait.isdecimal() and int(wait) <= LONGEST_WAIT):
        answer.close()
        raise aiohttp.ClientConnectionError(f"the server asks us to stay away for {wait} seconds")
    return answer


def connection(found: Credentials) -> kopf.ConnectionInfo:
    """Where the API server is and who we are, in kopf's words."""
    return kopf.ConnectionInfo(
        server=found.server,
        ca_path=found.ca,
        insecure=not found.verify,
        scheme=found.scheme,
        token=found.token,
        certificate_path=found.certificate,
        private_key_path=found.key,
    )


class Watches(threading.Thread):
    """Watches until told to stop, or until kopf gives up.

    It does on some answers of the API server, such as 404 for a kind that went. Then `failed`
    says why, and the process must end and start anew.

    Args:
        login: says where the API server is and who we are; asked anew after each 401.
        kinds: what to watch, and who takes the events.
        namespaces: where; empty: everywhere.
        ended: set when the thread ends, for whatever reason.

    """

    def __init__(
        self,
        login: Callable[[], Credentials],
        kinds: Mapping[Kind, Handler],
        namespaces: tuple[str, ...],
        ended: threading.Event,
    ) -> None:
        super().__init__(name="watches", daemon=True)
        self._login = login
        self._kinds = kinds
        self._namespaces = namespaces
        self._ended = ended
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.failed: str | None = None

    def stop(self) -> None:
        """End the watches."""
        with suppress(RuntimeError):  # they ended by themselves
            self._loop.call_soon_threadsafe(self._stop.set)

    def run(self) -> None:
        """Watch."""
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._watch())
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing is watched
            self.failed = self.failed or f"nothing is watched: {error!r}"
        finally:
            self._ended.set()

    async def _watch(self) -> None:
        """Run kopf's tasks until one ends, which none does of itself.

        kopf's own way to run them may wait for ever for the others to close. Its peers, whom we
        have none of, know it by an identity; the one it thinks up names the user, and in a
        container the user has no name.
        """
        settings = kopf.OperatorSettings()
        configure(settings, self._kinds)
        tasks = await kopf.spawn_tasks(
            registry=self._registry(),
            settings=settings,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            identity="tiltyard",  # type: ignore[arg-type]  # kopf keeps the type to itself
        )
        stopped = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stopped not in done:
            error = done.pop().exception()
            self.failed = f"a watch ended: {type(error).__name__}: {error}"
        self._ended.set()

    def _registry(self) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: object) -> kopf.AiohttpSession:
            return session(self._login())

        for kind, handler in self._kinds.items():
            _subscribe(registry, kind, handler)
        return registry


def _subscribe(registry: kopf.OperatorRegistry, kind: Kind, handler: Handler) -> None:
    @kopf.on.event(group=kind.group, version=kind.version, plural=kind.plural, registry=registry)
    async def seen(event: Any, **_: object) -> None:  # noqa: ANN401 - likewise
        obj = event["object"] | {"apiVersion": kind.api_version, "kind": kind.kind}
        handler(event["type"], obj)
