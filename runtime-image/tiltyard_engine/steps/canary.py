"""The step that gives a candidate its share of the requests, and none once it is latched."""

from collections.abc import Mapping

from tiltyard_api.plan import PlanCanary
from tiltyard_api.routing import CanaryRouting, RoutingTable
from tiltyard_core.draws import canary_ends
from tiltyard_engine.steps.base import ModelRunner
from tiltyard_engine.steps.drawn import Drawn, Shares


class CanaryStep(Drawn):
    """Divides between candidate and stable model by the stage of the routing table."""

    def __init__(self, plan: PlanCanary, runners: Mapping[str, ModelRunner]) -> None:
        super().__init__(plan.name, plan.hash_key, plan.salt, runners)
        self._routing: CanaryRouting | None = None
        self._latched: set[str] = set()

    def route(self, table: RoutingTable) -> None:
        """Put a stage in force."""
        routing = table.steps[self.name]
        if not isinstance(routing, CanaryRouting):
            raise TypeError(f"step {self.name!r} is a canary, the table has a {routing.kind}")
        self._routing = routing
        self._share_out(routing)

    def latch(self, run: str) -> None:
        """Give the candidate nothing in any stage of this run, whatever tables say."""
        self._latched.add(run)
        if self._routing:
            self._share_out(self._routing)

    @property
    def latched(self) -> bool:
        """Whether the candidate gets nothing, whatever its weight."""
        routing = self._routing
        return routing is not None and (routing.latched or routing.run in self._latched)

    def _share_out(self, routing: CanaryRouting) -> None:
        if self.latched:  # what is not drawn by the stage's weight is no part of its statistics
            self._shares = Shares(canary_ends(0))
        else:
            self._shares = Shares(canary_ends(routing.weight), routing.stage_id)
