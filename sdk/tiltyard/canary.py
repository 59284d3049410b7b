"""What people say to a canary: go on, or out of the way.

It becomes one annotation that names the stage. Who moves the ramp obeys it once, for that stage, so
that a word that comes late does nothing.
"""

from collections.abc import Sequence
from typing import Literal

from tiltyard.failure import Failure
from tiltyard_api.v1alpha1.stage import Stage
from tiltyard_api.v1alpha1.status import StepStatus

Word = Literal["promote", "abort"]


def annotation(word: Word, stage: Stage) -> str:
    """Give the value of the annotation."""
    return f"{word}@{stage.id}"


def asked_for(word: Word, stage: Stage) -> str:
    """Tell what was said, and what comes of it."""
    what = f"stage {stage.number} of {stage.of} ({stage.weight:g} %) is asked for"
    if word == "promote":
        return f"promotion of {what}: the status shows what comes of it"
    return (
        f"abort of {what}: the candidate gets nothing from then on, until the spec of the canary"
        " changes"
    )


def addressed(word: Word, name: str, step: str | None, steps: Sequence[StepStatus]) -> Stage:
    """Find the stage that is meant.

    Raises:
        Failure: it is not clear which, or nothing can be said to it.

    """
    canaries = [one for one in steps if one.stage and step in (None, one.name)]
    if not canaries:
        what = f"no canary {step!r}" if step else "no canary"
        raise Failure(f"{name} has {what} that has begun: its status shows its steps")
    if len(canaries) > 1:
        names = " or ".join(one.name for one in canaries)
        raise Failure(f"{name} has several canaries: say by --step, or step=, which: {names}")
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
