"""Runs calls through the steps of a Pipeline. Knows no transport and no wire format.

`Dataplane.run` is a plain function of plan, routing table, clock, chance and calls: HTTP, tests
and benchmarks call the same thing.
"""

import json
from collections.abc import Mapping, Sequence

from tiltyard_api.plan import Plan, PlanDrawn, PlanInterleave, PlanShadow, PlanStep
from tiltyard_api.reasons import Reason
from tiltyard_api.routing import RoutingTable
from tiltyard_engine.call import Call
from tiltyard_engine.columns import ragged
from tiltyard_engine.errors import Refusal
from tiltyard_engine.metrics import variants_of
from tiltyard_engine.model import Model
from tiltyard_engine.steps import Lanes, build
from tiltyard_engine.steps.base import Context
from tiltyard_engine.steps.drawn import Drawn
from tiltyard_engine.tables import check_table
from tiltyard_engine.validations.judge import Judge

INLINE_SECONDS = 200e-6
"""Under it a model runs in the event loop: handing a call to a thread costs some 100 us."""

DEAR_SECONDS = 1.0
"""What a call that waits for others counts as."""


class Dataplane:
    """A loaded Pipeline."""

    def __init__(
        self,
        plan: Plan,
        table: RoutingTable,
        sessions: Mapping[str, Model],
        lanes: Lanes,
        judge: Judge | None = None,
    ) -> None:
        self.plan = plan
        self.routing = table
        self.steps = [build(step, sessions, lanes) for step in plan.steps]
        self._judge = judge
        self.waits = (judge is not None and judge.waits) or any(
            (isinstance(step, PlanShadow) and step.respond)
            or any(sessions[name].waits for name in answering(step))
            for step in plan.steps
        )
        """Whether calls wait for another process or for challengers: never in the event loop."""
        self._costs = [[sessions[n].cost for n in names] for s in plan.steps for names in runs(s)]
        self._one_row = sum(max(cost.of(1) for cost in costs) for costs in self._costs)
        self._variants = {
            step.name: frozenset(variants_of(step) if isinstance(step, PlanDrawn) else ())
            for step in plan.steps
        }
        self._put_in_force(table)

    def route(self, table: RoutingTable) -> None:
        """Put a newer routing table in force.

        Raises:
            RoutingRefused: it does not fit; the one in force stays.

        """
        check_table(self.plan, self.routing, table)
        self._put_in_force(table)

    def _put_in_force(self, table: RoutingTable) -> None:
        for step in self.steps:
            step.route(table)
        self.routing = table

    def shares(self) -> dict[tuple[str, str], float]:
        """Share in force of each variant, 0 to 1."""
        return {
            (step.name, variant): share
            for step in self.steps
            if isinstance(step, Drawn)
            for variant, share in step.in_force().items()
        }

    def seconds(self, call: Call) -> float:
        """Longest that a call may take, whichever variants serve it."""
        if self.waits:
            return DEAR_SECONDS
        if call.rows == 1:
            return self._one_row
        if ragged(call.tensors):  # row by row
            return call.rows * self._one_row
        return sum(max(cost.of(call.rows) for cost in costs) for costs in self._costs)

    def check_pins(self, pins: Mapping[str, str]) -> None:
        """Refuse pins of variants that do not exist.

        Raises:
            Refusal: UnknownVariant, naming what there is.

        """
        for step, variant in pins.items():
            known = self._variants.get(step)
            if not known:
                names = ", ".join(name for name, variants in self._variants.items() if variants)
                message = f"no step {step!r} with variants (there: {names or 'none'})"
            elif variant not in known:
                message = (
                    f"step {step!r} has no variant {variant!r} (there: {', '.join(sorted(known))})"
                )
            else:
                continue
            raise Refusal(
                Reason.UNKNOWN_VARIANT, f"{message}: correct the pin", field="X-Tiltyard-Variant"
            )

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Take calls through all steps; each ends with outputs or with a refusal.

        What validations say of outputs comes last, and changes none of them.
        """
        for step in self.steps:
            alive = [call for call in calls if call.refusal is None]
            if not alive:
                return
            start = context.clock()
            step.run(alive, context)
            took = context.clock() - start
            for call in alive:
                call.elapsed.append(took)
        if self._judge:
            for call in calls:
                if call.refusal is None:
                    self._judge.judge(call)


def answering(step: PlanStep) -> tuple[str, ...]:
    """Models of a step that an answer waits for: challengers are none of them."""
    return (step.champion,) if isinstance(step, PlanShadow) else variants_of(step)


def runs(step: PlanStep) -> Sequence[tuple[str, ...]]:
    """Runs that a call waits for, one behind the other, and the models of which one does each."""
    models = answering(step)
    return [(name,) for name in models] if isinstance(step, PlanInterleave) else [models]


def model_split(plan: Plan, variant: str) -> str:
    """What `out._model_split` says of the variant that served: JSON with both known spellings."""
    model = next(model for model in plan.models if model.name == variant)
    file_info = {"version": model.version, "sha": model.digest}
    return json.dumps(
        {
            "name": model.name,
            **file_info,
            "model_version": {"name": model.name, "file_info": file_info},
        },
        separators=(",", ":"),
    )
