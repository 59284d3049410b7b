"""The step that divides requests between variants by weight."""

from collections.abc import Mapping

from tiltyard_api.plan import PlanSplit
from tiltyard_api.routing import RoutingTable, SplitRouting
from tiltyard_core.draws import thresholds
from tiltyard_engine.steps.base import ModelRunner
from tiltyard_engine.steps.drawn import Drawn, Shares


class SplitStep(Drawn):
    """Divides between variants by the weights of the routing table."""

    def __init__(self, plan: PlanSplit, runners: Mapping[str, ModelRunner]) -> None:
        super().__init__(plan.name, plan.hash_key, plan.salt, runners)

    def route(self, table: RoutingTable) -> None:
        """Put weights in force."""
        routing = table.steps[self.name]
        if not isinstance(routing, SplitRouting):
            raise TypeError(f"step {self.name!r} is a split, the table has a {routing.kind}")
        ends = thresholds([routing.weights[variant] for variant in self._variants])
        self._shares = Shares(ends)
