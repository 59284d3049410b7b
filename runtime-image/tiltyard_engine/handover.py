"""From what the cluster says to what the workers run: judged, remembered, told."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from tiltyard_api.routing import RoutingTable
from tiltyard_engine.counters import CounterFile
from tiltyard_engine.inforce import InForce, lowest
from tiltyard_engine.log import log
from tiltyard_engine.metrics import WATCH_REFUSED
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.tables import (
    RoutingRefused,
    check_table,
    parse_table,
    read_table,
    write_table,
)

Tables = Mapping[str, str]
"""What the routing ConfigMap holds: a table for each live plan, as `HASH.json`."""

NOT_WATCHED: Final[Mapping[str, Any]] = {"source": "file", "checkedAt": None, "refused": None}
"""What the status says of tables that come by SIGHUP."""


class Handover:
    """Takes the tables of one plan.

    Args:
        loaded: what the workers began with.
        remembered: where they look when they are told.
        counters: where they say what they run.
        tell: tells them.

    """

    def __init__(
        self,
        loaded: Loaded,
        remembered: Path,
        counters: CounterFile,
        tell: Callable[[], None],
    ) -> None:
        self._plan = loaded.plan
        self._remembered = remembered
        self._blocks = counters.blocks
        self._tell = tell
        self._key = f"{loaded.plan.hash}.json"
        self._table = _last_taken(remembered, loaded.table)
        self._seen: str | None = ""
        self._refused: RoutingRefused | None = None
        self._confirmed = ""
        self._checked_at: float | None = None

    def offer(self, tables: Tables | None) -> None:
        """Take what the ConfigMap says now; None: there is none.

        Raises:
            OSError: the table cannot be remembered, so no worker was told of it.

        """
        text = None if tables is None else tables.get(self._key)
        if text != self._seen:
            self._judge(text)
            self._seen = text
        self._checked_at = time.time()
        if lowest(self._blocks, self._plan.pipeline).hash != self._table.hash:
            self._tell()

    def watch_up(self, value: Literal[0, 1]) -> None:
        """Say whether the cluster can be heard."""
        block = self._blocks[0]
        block.words[block.offset("tiltyard_routing_watch_up", self._plan.pipeline)] = value

    def report(self, in_force: InForce) -> dict[str, object]:
        """Tell where the table in force is from, and what the cluster last said."""
        at, refused = self._checked_at, self._refused
        return {
            "source": "watch" if in_force.hash == self._confirmed else "file",
            "checkedAt": at and time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
            "refused": refused and {"reason": refused.reason, "message": str(refused)},
        }

    def _judge(self, text: str | None) -> None:
        if text is None:
            log("the cluster has no routing table of this plan: the last good one stays")
            return
        try:
            table = parse_table(text.encode())
            check_table(self._plan, self._table, table)
        except RoutingRefused as refused:
            self._refuse(refused)
            return
        if table.hash != self._table.hash:
            write_table(self._remembered, table)
            self._table = table
        self._confirmed = table.hash
        self._refused = None

    def _refuse(self, refused: RoutingRefused) -> None:
        self._refused = refused
        block = self._blocks[0]
        block.words[block.offset(WATCH_REFUSED, self._plan.pipeline, refused.reason)] += 1
        log("a routing table of the cluster was refused", reason=refused.reason, why=str(refused))


def _last_taken(remembered: Path, begun_with: RoutingTable) -> RoutingTable:
    """What this process took before it died, if it is not the first."""
    try:
        table = read_table(remembered)
    except RoutingRefused as refused:
        log("the remembered routing table was refused", file=str(remembered), why=str(refused))
        return begun_with
    return table if table.revision > begun_with.revision else begun_with
