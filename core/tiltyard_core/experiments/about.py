"""What an experiment is about: a step, and its variants, the control first."""

from dataclasses import dataclass

from tiltyard_api.v1alpha1.experiment import Experiment
from tiltyard_api.v1alpha1.pipeline import PipelineSpec


@dataclass(frozen=True, slots=True)
class Subject:
    """An experiment with what it compares."""

    experiment: Experiment
    step: str
    variants: tuple[str, ...]
    """The first is what the others are compared with."""


def subject(spec: PipelineSpec) -> Subject | None:
    """Find out what the experiment of a Pipeline compares; None: it has none."""
    if spec.experiment is None:
        return None
    for step in spec.steps:
        variants: tuple[str, ...] = ()
        if step.split:
            variants = tuple(one.model for one in step.split.variants)
        elif step.canary:
            variants = (step.canary.stable, step.canary.candidate)
        elif step.interleave:
            variants = tuple(step.interleave.rankers)
        if variants:
            return Subject(spec.experiment, step.name, variants)
    return None
