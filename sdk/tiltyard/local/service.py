"""What is being served: one engine in force, and those that finish what they accepted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.local.compiled import Compiled
from tiltyard.local.engine import Engine
from tiltyard.local.signals import pause
from tiltyard.local.sockets import Sockets, url_of
from tiltyard.local.state import state_folder
from tiltyard.transport import Transport
from tiltyard_api.routing import RoutingTable

CONFIRM_SECONDS = 2.0
"""A table is in force within milliseconds; after this something is wrong."""


class Service:
    """Pipelines that are served on this machine."""

    def __init__(
        self, state: Path, sockets: Sockets, store: Path, limits: Mapping[str, str]
    ) -> None:
        self._state = state
        self._sockets = sockets
        self._store = store
        self._limits = limits
        self._engines: list[Engine] = []
        self._tables: dict[str, RoutingTable] = {}
        self.compiled: list[Compiled] = []
        self.url = url_of(sockets.data[0])
        self.management_url = url_of(sockets.management)

    def serve(self, compiled: Sequence[Compiled]) -> None:
        """Start an engine and, once it serves, let the one before it give way.

        Raises:
            Failure: it does not start; what ran keeps running.

        """
        tables = {one.plan.pipeline: self._next_table(one) for one in compiled}
        folder = self._state / f"engine-{time.monotonic_ns()}"
        pairs = [(one, tables[one.plan.pipeline]) for one in compiled]
        engine = Engine(folder, pairs, self._sockets, self._store, self._limits)
        try:
            engine.wait_ready()
        except BaseException:
            engine.stop()
            raise
        if self._engines:
            self._engines[-1].give_way()
        self._engines.append(engine)
        self.compiled, self._tables = list(compiled), tables

    def route(self, compiled: Sequence[Compiled]) -> bool:
        """Put the weights and the sampling of the same plans in force.

        Returns:
            Whether the engine confirmed it.

        """
        changed = {
            one.plan.pipeline: table
            for one in compiled
            if (table := self._next_table(one)).steps != self._tables[one.plan.pipeline].steps
        }
        self._engines[-1].route(changed)
        self._tables |= changed
        self.compiled = list(compiled)
        return self._confirmed()

    def check(self) -> None:
        """See to it that the engine lives, and forget those that have finished.

        Raises:
            Failure: the engine in force has died.

        """
        self._engines[-1].check()
        self._engines = [one for one in self._engines[:-1] if not one.gone()] + self._engines[-1:]

    def stop(self) -> None:
        """Finish what was accepted, and end."""
        for engine in reversed(self._engines):
            engine.stop()

    def _next_table(self, compiled: Compiled) -> RoutingTable:
        before = self._tables.get(compiled.plan.pipeline)
        return compiled.routing(before.revision + 1 if before else 1)

    def _confirmed(self) -> bool:
        """Wait until all workers say that they run the newest tables."""
        wanted = {name: table.revision for name, table in self._tables.items()}
        deadline = time.monotonic() + CONFIRM_SECONDS
        with Transport(self.management_url) as management:
            while time.monotonic() < deadline:
                if _revisions(management) == wanted:
                    return True
                pause(0.005)
        return False


def _revisions(management: Transport) -> dict[str, int]:
    """Routing revision of each Pipeline that every worker runs at least; empty if none answers."""
    try:
        status = management.get("/status").json()
    except Failure:
        return {}
    return {one["name"]: one["routing"]["revision"] for one in status["pipelines"]}


@contextmanager
def serving(
    compiled: Sequence[Compiled], sockets: Sockets, store: Path, limits: Mapping[str, str]
) -> Iterator[Service]:
    """Serve Pipelines until the block ends; then finish what was accepted.

    Signals must be held (`held_signals`). The sockets are closed in the end.

    Raises:
        Failure: the engine does not start.

    """
    with state_folder() as state:
        service = Service(state, sockets, store, limits)
        try:
            service.serve(compiled)
            yield service
        finally:
            sockets.close()  # the engine has its own: it accepts until it ends
            service.stop()
