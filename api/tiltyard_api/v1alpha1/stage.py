"""Where a canary stands: what a status says of it, and all that a ramp needs to go on."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from tiltyard_api.base import SchemaExtra
from tiltyard_api.v1alpha1.reported import Hash, Reported, Text


class Guard(StrEnum):
    """What units are watched for."""

    ERRORS = "errors"
    LATENCY = "latency"
    INVALID = "invalid"


def stage_id(run: str, number: int) -> str:
    """How a stage is called: by counts, statuses and people who promote or abort it."""
    return f"{run}-{number}"


class Stage(Reported):
    """The stage that a ramp is in."""

    id: Hash
    """What `promote` and `abort` name; no other stage ever has it."""

    number: int
    """From 1."""

    of: int
    """Stages of the ramp."""

    weight: float
    """Percent that the candidate gets, unless it is latched."""

    entered: AwareDatetime
    """When the ramp came to it."""

    since: AwareDatetime | None = None
    """When every pod was first heard to run it: its hold begins here."""

    revision: Hash
    """Of what the manifest says of the canary, and of the bytes of its models."""

    pair: Hash
    """Of what a change of starts the ramp anew: the models and how their units are drawn."""

    frozen: bool | None = None
    """The units do not divide as they should: nothing is judged any more."""

    complete: bool | None = None
    """The ramp is at its end."""

    @property
    def run(self) -> str:
        """What the stages of one ramp have in common, as long as its manifest stays the same."""
        return self.id.rpartition("-")[0]


class Latch(Reported):
    """The candidate was taken out of the way, until the spec changes."""

    at: AwareDatetime
    stage: Hash
    """Stage it happened in."""

    by: Literal["operator", "engine", "user"]
    """Who: the operator by the counts of all pods, an engine by its own, or a person."""

    guard: Annotated[str, Field(max_length=16)]
    """Why: a guard, `row` (failed units in a row) or `abort`."""

    message: Text
    """Why, for people, with the evidence."""

    pod: Text | None = None
    """The engine's pod."""


class GuardEvidence(Reported):
    """What a guard has seen in this stage."""

    guard: Guard
    candidate: int
    """Bad units of the candidate."""

    both: int
    """Bad units of the candidate and of the stable model."""

    log_evidence: float
    """Logarithm of how much better a worse candidate explains them; a verdict at `limit`."""

    limit: float
    saturated: bool | None = None
    """More units than are told apart: this guard has stopped counting."""

    paused: bool | None = None
    """There is nothing to compare with: one of the models gets everything."""


BY_GUARD: SchemaExtra = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["guard"],
}


class CanaryState(Reported):
    """All that must outlive whoever decides: a status in a cluster, a file on a laptop."""

    stage: Stage
    latched: Latch | None = None
