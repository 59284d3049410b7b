"""What a schema cannot say of experiments, on the document as it was written."""

from collections.abc import Iterator

from tiltyard_api.faults import Fault
from tiltyard_api.v1alpha1.experiment import DIVIDING, ONE_LABEL, MetricKind
from tiltyard_api.v1alpha1.written import Data, entries, mapping, present, repeated, texts

PATH = "spec.experiment"


def of_experiment(spec: Data) -> Iterator[Fault]:
    """Every rule that an experiment breaks."""
    if not present(spec, "experiment"):
        return
    experiment = mapping(spec, "experiment")
    yield from _one_step(spec)
    yield from repeated(experiment, "metrics", "name", PATH)
    metrics = list(entries(experiment, "metrics"))
    for index in [index for index, one in metrics if one.get("goal") is True][1:]:
        fault = "the verdict is by another metric already: keep one goal"
        yield Fault(f"{PATH}.metrics[{index}].goal", fault)
    for index in [index for index, one in metrics if one.get("kind") == MetricKind.LABEL][1:]:
        yield Fault(f"{PATH}.metrics[{index}].kind", ONE_LABEL)
    ranked = any(present(step, "interleave") for _, step in entries(spec, "steps"))
    steps = {name for _, step in entries(spec, "steps") for name in texts(step, "name")}
    for index, metric in metrics:
        path = f"{PATH}.metrics[{index}]"
        if ranked and metric.get("kind") == MetricKind.LABEL:
            yield Fault(f"{path}.kind", "a list has no score to compare with: use another kind")
        yield from _score(metric, steps, path)


def _one_step(spec: Data) -> Iterator[Fault]:
    """Feedback is about the variants of one step."""
    steps = [step for _, step in entries(spec, "steps")]
    dividing = [step for step in steps if any(present(step, kind) for kind in DIVIDING)]
    if steps and len(dividing) != 1:
        wanted = f"exactly one step of {', '.join(DIVIDING)}"
        found = f"an experiment is about {wanted}; there are {len(dividing)}"
        yield Fault(PATH, f"{found}: remove the experiment, or change the steps")


def _score(metric: Data, steps: set[str], path: str) -> Iterator[Fault]:
    """A score is what a step of the Pipeline gives, and is compared with labels."""
    if metric.get("kind") == MetricKind.LABEL and not present(metric, "score"):
        yield Fault(f"{path}.score", "is required for a label: name STEP.OUTPUT, a number a row")
    if present(metric, "threshold") and not present(metric, "score"):
        yield Fault(f"{path}.threshold", "divides scores: add a score, or remove it")
    for score in texts(metric, "score"):
        if metric.get("kind") in set(MetricKind) - {MetricKind.LABEL}:
            remedy = "make the metric a label, or remove the score"
            yield Fault(f"{path}.score", f"is compared with labels: {remedy}")
        step, dot, _ = score.partition(".")
        if dot and steps and step not in steps:
            known = ", ".join(sorted(steps))
            yield Fault(f"{path}.score", f"no step {step!r} (there: {known}): name STEP.OUTPUT")
