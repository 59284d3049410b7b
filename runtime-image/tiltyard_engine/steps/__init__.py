"""The steps of a Pipeline, one file a kind; `build` turns a plan into them."""

from collections.abc import Callable, Mapping

from tiltyard_api.plan import (
    PlanCanary,
    PlanInterleave,
    PlanModelStep,
    PlanShadow,
    PlanSplit,
    PlanStep,
)
from tiltyard_engine.lane import Lane
from tiltyard_engine.model import Model
from tiltyard_engine.steps.base import ModelRunner, Step
from tiltyard_engine.steps.canary import CanaryStep
from tiltyard_engine.steps.interleave import InterleaveStep
from tiltyard_engine.steps.model import ModelStep
from tiltyard_engine.steps.shadow import ShadowStep
from tiltyard_engine.steps.split import SplitStep

Lanes = Callable[[PlanShadow], Mapping[str, Lane]]
"""Makes the lanes of a shadow's challengers."""


def build(step: PlanStep, sessions: Mapping[str, Model], lanes: Lanes) -> Step:
    """Make a step that runs."""
    match step:
        case PlanModelStep():
            return ModelStep(step, ModelRunner.in_step(step, sessions[step.model]))
        case PlanSplit():
            return SplitStep(step, _runners(step, step.variants, sessions))
        case PlanCanary():
            return CanaryStep(step, _runners(step, step.variants, sessions))
        case PlanInterleave():
            return InterleaveStep(step, _runners(step, step.variants, sessions))
        case PlanShadow():
            names = (step.champion, *step.challengers)
            return ShadowStep(step, _runners(step, names, sessions), lanes(step))
        case _:
            raise TypeError(f"step {step.name!r} is of a kind that this engine does not have")


def _runners(
    step: PlanStep, names: tuple[str, ...], sessions: Mapping[str, Model]
) -> dict[str, ModelRunner]:
    return {name: ModelRunner.in_step(step, sessions[name]) for name in names}
