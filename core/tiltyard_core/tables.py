"""Whether a routing table is one for a plan: engines check it, whoever writes tables may too."""

from tiltyard_api.plan import Plan, PlanModelStep, PlanShadow, PlanSplit, PlanStep
from tiltyard_api.routing import RoutingTable, ShadowRouting, SplitRouting, StepRouting


def misfit(plan: Plan, table: RoutingTable) -> str | None:
    """Say what keeps a table from being put in force for a plan; None where nothing does."""
    routed = {step.name: step for step in plan.steps if not isinstance(step, PlanModelStep)}
    if table.steps.keys() != routed.keys():
        there = ", ".join(routed) or "none"
        return f"its steps are {', '.join(table.steps) or 'none'}, the plan routes {there}"
    found = (_step_misfit(step, table.steps[name]) for name, step in routed.items())
    return next((fault for fault in found if fault), None)


def _step_misfit(step: PlanStep, routing: StepRouting) -> str | None:
    match step, routing:
        case PlanSplit(), SplitRouting():
            named, expected = routing.weights, step.variants
        case PlanShadow(), ShadowRouting():
            named, expected = routing.samples, step.challengers
        case _:
            return f"step {step.name!r} is routed as a {routing.kind}"
    if named.keys() != set(expected):
        return f"step {step.name!r} names {', '.join(named)}, the plan has {', '.join(expected)}"
    if min(named.values(), default=0.0) < 0:
        return f"step {step.name!r} has a share below 0"
    if isinstance(routing, ShadowRouting) and max(named.values(), default=0.0) > 1:
        return f"step {step.name!r} samples more than all requests"
    if isinstance(routing, SplitRouting) and not any(named.values()):
        return f"all weights of step {step.name!r} are 0: nothing could be drawn"
    return None
