"""How each step of a plan fares: shares in force, counts, and where canaries stand. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from tiltyard_api.evidence import CanaryCounts, Tally
from tiltyard_api.plan import (
    AnyPlanStep,
    PlanCanary,
    PlanInterleave,
    PlanModelStep,
    PlanShadow,
    PlanSplit,
)
from tiltyard_api.routing import CanaryRouting, RoutingTable, ShadowRouting, SplitRouting
from tiltyard_api.v1alpha1.status import StepStatus, VariantStatus
from tiltyard_core.figures import fares
from tiltyard_core.guards import error_share, units_of
from tiltyard_operator.canaries import Canaries
from tiltyard_operator.desired.config import Bundle
from tiltyard_operator.experiments import Shown
from tiltyard_operator.observed import Observed


def steps(
    bundle: Bundle,
    table: RoutingTable | None,
    seen: Observed,
    canaries: Canaries,
    experiment: Shown | None = None,
) -> Iterator[StepStatus]:
    """Say how each step fares.

    Args:
        bundle: the plan.
        table: how it is routed.
        seen: what pods said.
        canaries: where they stand.
        experiment: what it has shown; None: there is none.

    """
    for step in bundle.plan.steps:
        routing = table.steps.get(step.name) if table else None
        shares = _shares(step, routing)
        variants = tuple(
            _fares(VariantStatus(model=model, weight=weight, effective=share), step, seen)
            for model, (weight, share) in shares.items()
        )
        found = StepStatus(name=step.name, kind=step.kind, variants=variants)
        if isinstance(step, PlanCanary) and step.name in canaries.outcomes:
            found = _canary(found, step, canaries)
        if experiment and experiment.step == step.name:
            found = found.model_copy(update={"verdict": experiment.verdict})
        yield found


def _canary(found: StepStatus, step: PlanCanary, canaries: Canaries) -> StepStatus:
    """Add to a step how its canary fares."""
    outcome, counts = canaries.outcomes[step.name], canaries.counts(step.name)
    variants = found.variants or ()
    if counts:
        tallies = {step.stable: counts.stable, step.candidate: counts.candidate}
        variants = tuple(_counted(one, tallies[one.model], counts) for one in variants)
    told = {
        "variants": variants,
        "stage": outcome.state.stage,
        "latched": outcome.state.latched,
        "evidence": outcome.evidence or None,
    }
    return found.model_copy(update=told)


def _counted(variant: VariantStatus, tally: Tally, counts: CanaryCounts) -> VariantStatus:
    share = error_share(tally, counts)
    told = {
        "units": units_of(tally, counts),
        "error_share": None if share is None else round(share, 6),
    }
    return variant.model_copy(update=told)


def _shares(step: AnyPlanStep, routing: object) -> Mapping[str, tuple[float | None, float | None]]:
    """Weight as it was given, and share of the requests, of each variant."""
    match step, routing:
        case PlanSplit(), SplitRouting():
            total = sum(routing.weights.values())
            return {
                one: (routing.weights[one], round(routing.weights[one] / total, 6))
                for one in step.variants
            }
        case PlanCanary(), CanaryRouting():
            share = 0.0 if routing.latched else round(routing.weight / 100, 6)
            return {
                step.stable: (100 - routing.weight, round(1 - share, 6)),
                step.candidate: (routing.weight, share),
            }
        case PlanShadow(), ShadowRouting():
            return {step.champion: (None, 1.0)} | {
                one: (None, routing.samples[one]) for one in step.challengers
            }
        case PlanInterleave(), _:
            return dict.fromkeys(step.variants, (None, 1.0))
        case PlanModelStep(), _:
            return {step.model: (None, 1.0)}
        case _:
            return {}


def _fares(variant: VariantStatus, step: AnyPlanStep, seen: Observed) -> VariantStatus:
    """Add to a variant what the pods that serve have counted of it."""
    key = (step.name, variant.model)
    told = [one.variants[key] for one in seen.said.values() if key in one.variants]
    return variant.model_copy(update=asdict(fares(told))) if told else variant
