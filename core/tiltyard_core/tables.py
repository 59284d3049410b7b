"""Whether a routing table is one for a plan: engines check it, whoever writes tables may too."""

from collections.abc import Mapping, Sequence

from tiltyard_api.plan import (
    Plan,
    PlanCanary,
    PlanInterleave,
    PlanModelStep,
    PlanShadow,
    PlanSplit,
    PlanStep,
)
from tiltyard_api.routing import (
    CanaryRouting,
    RoutingTable,
    ShadowRouting,
    SplitRouting,
    StepRouting,
)
from tiltyard_api.v1alpha1.stage import Guard


def misfit(plan: Plan, table: RoutingTable) -> str | None:
    """Say what keeps a table from being put in force for a plan; None where nothing does."""
    fixed = PlanModelStep | PlanInterleave
    routed = {step.name: step for step in plan.steps if not isinstance(step, fixed)}
    if table.steps.keys() != routed.keys():
        there = ", ".join(routed) or "none"
        return f"its steps are {', '.join(table.steps) or 'none'}, the plan routes {there}"
    found = (_step_misfit(step, table.steps[name]) for name, step in routed.items())
    return next((fault for fault in found if fault), None)


def _step_misfit(step: PlanStep, routing: StepRouting) -> str | None:
    match step, routing:
        case PlanSplit(), SplitRouting():
            return _shares_misfit(step.name, routing.weights, step.variants, None)
        case PlanShadow(), ShadowRouting():
            return _shares_misfit(step.name, routing.samples, step.challengers, 1)
        case PlanCanary(), CanaryRouting():
            return _canary_misfit(step.name, routing)
        case _:
            return f"step {step.name!r} is routed as a {routing.kind}"


def _shares_misfit(
    name: str, shares: Mapping[str, float], expected: Sequence[str], most: float | None
) -> str | None:
    """Say what is wrong with weights, or with samples, which have a highest value."""
    if shares.keys() != set(expected):
        return f"step {name!r} names {', '.join(shares)}, the plan has {', '.join(expected)}"
    if min(shares.values(), default=0.0) < 0:
        return f"step {name!r} has a share below 0"
    if most is not None and max(shares.values(), default=0.0) > most:
        return f"step {name!r} samples more than all requests"
    if most is None and not any(shares.values()):
        return f"all weights of step {name!r} are 0: nothing could be drawn"
    return None


def _canary_misfit(name: str, routing: CanaryRouting) -> str | None:
    margins = routing.guards.margins
    if not {Guard.ERRORS, Guard.INVALID} <= margins.keys():
        return f"the canary of step {name!r} is not guarded against errors and invalid outputs"
    if (Guard.LATENCY in margins) != (routing.guards.slow is not None):
        return f"the canary of step {name!r} does not say which answers are slow"
    if min(margins.values()) < 0:
        return f"the canary of step {name!r} has a margin below 0"
    return None
