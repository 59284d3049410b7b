"""What an engine must know of an experiment, and what makes it the one that it is."""

import hashlib
import json
from collections.abc import Iterator

from tiltyard_api.faults import Fault
from tiltyard_api.plan import (
    Plan,
    PlanCanary,
    PlanExperiment,
    PlanInterleave,
    PlanMetric,
    PlanScore,
    PlanSplit,
)
from tiltyard_api.tensors import TensorType
from tiltyard_api.v1alpha1.experiment import DEFAULT_THRESHOLD, DIVIDING
from tiltyard_api.v1alpha1.pipeline import PipelineSpec
from tiltyard_core.signature import describe
from tiltyard_core.wiring import Wiring

ID = 16
"""Characters of an experiment's id."""

Dividing = PlanSplit | PlanCanary | PlanInterleave


def planned_experiment(spec: PipelineSpec, wiring: Wiring) -> PlanExperiment | None:
    """Plan the experiment of a Pipeline; a score that no step gives is a fault."""
    experiment = spec.experiment
    if experiment is None:
        return None
    step = next(one for one in spec.steps if any(getattr(one, kind) for kind in DIVIDING))
    score = None
    for index, metric in enumerate(experiment.metrics):
        if metric.score:
            origin, _, output = metric.score.partition(".")
            given = metric.threshold
            threshold = DEFAULT_THRESHOLD if given is None else given
            score = PlanScore(metric=metric.name, step=origin, output=output, threshold=threshold)
            path = f"spec.experiment.metrics[{index}].score"
            wiring.faults += [Fault(path, fault) for fault in _misfits(wiring, score)]
    return PlanExperiment(
        step=step.name,
        metrics=tuple(PlanMetric(name=one.name, kind=one.kind) for one in experiment.metrics),
        score=score,
    )


def _misfits(wiring: Wiring, score: PlanScore) -> Iterator[str]:
    """Say why an output is no score: it is one number a row."""
    step, output = score.step, score.output
    given = wiring.outputs[step]
    if output not in given:
        there = describe(list(given.values()))
        yield f"step {step!r} does not give {output!r} (it gives {there}): name one of these"
    elif given[output].type is TensorType.STRING or given[output].shape not in ((), (1,)):
        text = given[output].text()
        yield f"{step}.{output} is {text}: a score is one number a row; name another"


def experiment_id(plan: Plan) -> str:
    """Name the experiment of a plan by what it is about; another name begins to count anew.

    Models count by their versions: other bytes are another variant. Weights do not count, nor does
    what verdicts are reached by.
    """
    if plan.experiment is None:
        raise ValueError(f"Pipeline {plan.pipeline!r} has no experiment: there is nothing to name")
    step = dividing_step(plan)
    versions = {one.name: one.version for one in plan.models}
    about = [
        plan.namespace,
        plan.pipeline,
        step.model_dump(mode="json", include={"name", "kind", "hash_key", "salt", "output"}),
        [[name, versions[name]] for name in step.variants],
        plan.experiment.model_dump(mode="json"),
    ]
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:ID]


def dividing_step(plan: Plan) -> Dividing:
    """Find the step that the experiment of a plan is about."""
    name = plan.experiment.step if plan.experiment else ""
    return next(one for one in plan.steps if isinstance(one, Dividing) and one.name == name)
