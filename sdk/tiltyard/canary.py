"""`tiltyard promote` and `tiltyard abort`: what people say to a canary.

They write one annotation that names the stage. The operator obeys it once, for that stage, so that
a word that comes late does nothing.
"""

from collections.abc import Sequence

from tiltyard.cluster import Cluster
from tiltyard.failure import Failure
from tiltyard.notices import result
from tiltyard.status import read_status
from tiltyard_api.names import CANARY_ANNOTATION
from tiltyard_api.v1alpha1.stage import Stage
from tiltyard_api.v1alpha1.status import StepStatus


def promote(name: str, namespace: str | None, step: str | None) -> None:
    """Let a canary go on to its next stage.

    Raises:
        Failure: there is no such canary, or it cannot go on.

    """
    stage = _say("promote", name, namespace, step)
    result(
        f"promotion of stage {stage.number} of {stage.of} ({stage.weight:g} %) is asked for: "
        f"tiltyard status {name} shows what comes of it"
    )


def abort(name: str, namespace: str | None, step: str | None) -> None:
    """Take a candidate out of the way.

    Raises:
        Failure: there is no such canary, or its candidate gets nothing already.

    """
    stage = _say("abort", name, namespace, step)
    result(
        f"abort of stage {stage.number} of {stage.of} ({stage.weight:g} %) is asked for: the "
        "candidate gets nothing from then on, until the spec of the canary changes"
    )


def _say(word: str, name: str, namespace: str | None, step: str | None) -> Stage:
    with Cluster(namespace) as cluster:
        pipeline = cluster.pipeline(name)
        stage = addressed(word, name, step, read_status(pipeline).steps or ())
        cluster.annotate(pipeline, CANARY_ANNOTATION, f"{word}@{stage.id}")
    return stage


def addressed(word: str, name: str, step: str | None, steps: Sequence[StepStatus]) -> Stage:
    """Find the stage that is meant.

    Raises:
        Failure: it is not clear which, or nothing can be said to it.

    """
    canaries = [one for one in steps if one.stage and step in (None, one.name)]
    if not canaries:
        what = f"no canary {step!r}" if step else "no canary"
        raise Failure(f"{name} has {what} that has begun: tiltyard status {name} shows its steps")
    if len(canaries) > 1:
        names = " or ".join(f"--step {one.name}" for one in canaries)
        raise Failure(f"{name} has several canaries: add {names}")
    (found,) = canaries
    stage = found.stage
    assert stage  # noqa: S101 - as chosen above
    if found.latched:
        raise Failure(
            f"the candidate of {found.name} is rolled back already ({found.latched.message}): "
            "change the spec of the canary to try another"
        )
    if word == "promote" and stage.complete:
        raise Failure(f"the ramp of {found.name} is at its end: there is no stage to go on to")
    return stage
