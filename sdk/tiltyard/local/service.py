"""What is being served: one engine in force, and those that finish what they accepted."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tiltyard.failure import Failure
from tiltyard.local.compiled import Compiled
from tiltyard.local.engine import Engine
from tiltyard.local.ramps import RAMPS, Ramps, States, routings
from tiltyard.local.signals import pause
from tiltyard.local.sockets import Sockets, url_of
from tiltyard.local.state import state_folder
from tiltyard.local.verdicts import keep
from tiltyard.transport import Transport
from tiltyard_api.evidence import CanaryReport
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.routing import RoutingTable

SECRETS = "secrets"
"""Folder of the state, with a folder for each Secret."""

SETTLE_SECONDS = 5.0
"""How long an engine that gives way is waited for: it may have a long call to finish."""

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
        self._ramps = Ramps(store.parent / RAMPS)
        self._engines: list[Engine] = []
        self.tables: dict[str, RoutingTable] = {}
        """The newest that were handed over, by Pipeline."""

        self.compiled: list[Compiled] = []
        self.url = url_of(sockets.data[0])
        self.management_url = url_of(sockets.management)

    def serve(self, compiled: Sequence[Compiled]) -> None:
        """Start an engine and, once it serves, let the one before it give way.

        Raises:
            Failure: it does not start; what ran keeps running.

        """
        states = [self._ramps.begun(one, time.time()) for one in compiled]
        tables = self._next_tables(compiled, states)
        folder = self._state / f"engine-{time.monotonic_ns()}"
        pairs = [(one, tables[one.plan.pipeline]) for one in compiled]
        secrets = self._state / SECRETS
        engine = Engine(folder, pairs, self._sockets, self._store, secrets, self._limits)
        try:
            engine.wait_ready()
        except BaseException:
            engine.stop()
            raise
        if self._engines:
            self._engines[-1].give_way()
        self._engines.append(engine)
        self.compiled, self.tables = list(compiled), tables
        for one, mine in zip(compiled, states, strict=True):
            self._ramps.keep(one, mine)

    def settle(self) -> None:
        """Wait until engines that gave way have ended: nobody is answered by them any more."""
        deadline = time.monotonic() + SETTLE_SECONDS
        while any(not one.gone() for one in self._engines[:-1]) and time.monotonic() < deadline:
            pause(0.005)

    def route(self, compiled: Sequence[Compiled]) -> bool:
        """Put the weights, the sampling and the ramps of the same plans in force.

        Returns:
            Whether the engine confirmed it.

        """
        states = [self._ramps.begun(one, time.time()) for one in compiled]
        for one, mine in zip(compiled, states, strict=True):
            self._ramps.keep(one, mine)
        self.compiled = list(compiled)
        self._hand_over(states)
        return self._confirmed()

    def move_ramps(self) -> None:
        """Move canaries by what the engine says; nothing where it says nothing."""
        if not any(one.canaries for one in self.compiled):
            return
        with Transport(self.management_url) as management:
            found = _statuses(management)
        if all(one.manifest.name in found for one in self.compiled):
            self._hand_over([self._look(one, found[one.manifest.name]) for one in self.compiled])

    def keep_verdicts(self) -> None:
        """Keep how experiments stand by what the engine says, for whoever asks for a report."""
        mine = [one.manifest for one in self.compiled if one.experiment]
        if not mine:
            return
        with Transport(self.management_url) as management:
            found = _statuses(management)
        for manifest in mine:
            said = found.get(manifest.name, {}).get("experiment")
            if said:
                keep(manifest, ExperimentSums.model_validate(said), datetime.now(UTC))

    def _look(self, compiled: Compiled, status: Mapping[str, Any]) -> States:
        canaries = {one["name"]: one["canary"] for one in status["steps"] if one.get("canary")}
        seen = {step: CanaryReport.model_validate(said) for step, said in canaries.items()}
        if not compiled.canaries.keys() <= seen.keys():  # its workers have yet to begin
            return self._ramps.begun(compiled, time.time())
        all_in = status["routing"]["hash"] == self.tables[compiled.plan.pipeline].hash
        return self._ramps.look(compiled, seen, time.time(), all_in=all_in)

    def _hand_over(self, states: Sequence[States]) -> None:
        """Give the engine the tables that are others now."""
        changed = {
            name: table
            for name, table in self._next_tables(self.compiled, states).items()
            if table.steps != self.tables[name].steps
        }
        if changed:
            self._engines[-1].route(changed)
            self.tables |= changed

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

    def _next_tables(
        self, compiled: Sequence[Compiled], states: Sequence[States]
    ) -> dict[str, RoutingTable]:
        tables = {}
        for one, mine in zip(compiled, states, strict=True):
            before = self.tables.get(one.plan.pipeline)
            revision = before.revision + 1 if before else 1
            tables[one.plan.pipeline] = one.routing(revision, routings(one, mine))
        return tables

    def _confirmed(self) -> bool:
        """Wait until all workers say that they run the newest tables."""
        wanted = {name: table.revision for name, table in self.tables.items()}
        deadline = time.monotonic() + CONFIRM_SECONDS
        with Transport(self.management_url) as management:
            while time.monotonic() < deadline:
                found = _statuses(management)
                if {name: one["routing"]["revision"] for name, one in found.items()} == wanted:
                    return True
                pause(0.005)
        return False


def _statuses(management: Transport) -> dict[str, Mapping[str, Any]]:
    """What the engine says of each Pipeline; nothing if it does not answer."""
    try:
        status = management.get("/status").json()
    except Failure:
        return {}
    return {one["name"]: one for one in status.get("pipelines", ())}


@contextmanager
def serving(
    compiled: Sequence[Compiled],
    sockets: Sockets,
    store: Path,
    flags: Mapping[str, str],
    secrets: Mapping[str, Path] = MappingProxyType({}),
) -> Iterator[Service]:
    """Serve Pipelines until the block ends; then finish what was accepted.

    Signals must be held (`held_signals`). The sockets are closed in the end.

    Args:
        compiled: the Pipelines.
        sockets: where they are served.
        store: where models are.
        flags: options of the engine, by the names of their flags.
        secrets: folders that stand in for the Secrets of records and of ids.

    Raises:
        Failure: the engine does not start.

    """
    with state_folder() as state:
        mounted = state / SECRETS
        mounted.mkdir()
        for name, folder in secrets.items():
            (mounted / name).symlink_to(folder)
        service = Service(state, sockets, store, flags)
        try:
            service.serve(compiled)
            yield service
        finally:
            sockets.close()  # the engine has its own: it accepts until it ends
            service.stop()
