"""What is told as an event: one for each change of what the status says. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from tiltyard_api.v1alpha1.conditions import (
    WARNINGS,
    ConditionReason,
    ConditionType,
    EventReason,
)
from tiltyard_api.v1alpha1.status import Condition, PipelineStatus, StepStatus
from tiltyard_operator.findings import condition


@dataclass(frozen=True, slots=True)
class Event:
    """An event to be told."""

    reason: EventReason
    message: str

    @property
    def type(self) -> str:
        """As Kubernetes has it."""
        return "Warning" if self.reason in WARNINGS else "Normal"


def events(before: PipelineStatus, after: PipelineStatus) -> Iterator[Event]:
    """Say what changed from one status to the next."""
    change = Change(before, after)
    stalled = change.now(ConditionType.STALLED)
    if stalled and change.said_otherwise(ConditionType.STALLED):
        yield Event(EventReason.STALLED, f"{stalled.reason}: {stalled.message}")
    available = change.now(ConditionType.AVAILABLE)
    if (
        available
        and available.reason == ConditionReason.NO_POD_SERVES
        and change.was_true(ConditionType.AVAILABLE)
    ):
        yield Event(EventReason.UNAVAILABLE, available.message)
    loaded = change.now(ConditionType.MODELS_LOADED)
    if loaded and loaded.status == "True" and change.said_otherwise(ConditionType.MODELS_LOADED):
        yield Event(EventReason.RESOLVED, loaded.message)
    yield from _of_pods(change)
    was = {one.name: one for one in before.steps or ()}
    for step in after.steps or ():
        yield from _of_canary(was.get(step.name, StepStatus(name=step.name)), step)
    old, new = before.routing, after.routing
    if old and new and old.hash != new.hash:
        yield Event(EventReason.ROUTING_CHANGED, f"routing revision {new.revision} was written")


def newly_synced(before: PipelineStatus, after: PipelineStatus) -> bool:
    """Whether the last pod just came to the wanted weights."""
    change = Change(before, after)
    synced = change.now(ConditionType.ROUTING_SYNCED)
    was = change.was_true(ConditionType.ROUTING_SYNCED)
    return synced is not None and synced.status == "True" and not was


@dataclass(frozen=True, slots=True)
class Change:
    """Two statuses, one after the other."""

    before: PipelineStatus
    after: PipelineStatus

    @property
    def of_version(self) -> bool:
        """Whether another version serves."""
        old, new = self.before.version, self.after.version
        return (old and old.active) != (new and new.active)

    def now(self, type_: ConditionType) -> Condition | None:
        """A condition as it is."""
        return condition(self.after.conditions, type_)

    def said_otherwise(self, type_: ConditionType) -> bool:
        """Whether it is not what it was."""
        old, new = condition(self.before.conditions, type_), self.now(type_)
        told = old and new and (old.status, old.reason, old.message)
        return told != (new and (new.status, new.reason, new.message))

    def was_true(self, type_: ConditionType) -> bool:
        """Whether it was True."""
        old = condition(self.before.conditions, type_)
        return old is not None and old.status == "True"

    def ready_because(self, status: PipelineStatus) -> str:
        """Why a status says that it is ready, or not."""
        ready = condition(status.conditions, ConditionType.READY)
        return ready.reason if ready else ""


def _of_pods(change: Change) -> Iterator[Event]:
    old, new = change.ready_because(change.before), change.ready_because(change.after)
    ready = change.now(ConditionType.READY)
    if old == new or ready is None:
        return
    if new == ConditionReason.SUSPENDED:
        yield Event(EventReason.SUSPENDED, ready.message)
    elif old == ConditionReason.SUSPENDED:
        yield Event(EventReason.RESUMED, "suspend was taken back")
    if new == ConditionReason.ROLLING:
        yield Event(EventReason.ROLLING_OUT, "pods are replaced")
    if ready.status == "True" and (old != ConditionReason.SYNCING or change.of_version):
        yield Event(EventReason.ROLLED_OUT, ready.message)


def _of_canary(before: StepStatus, after: StepStatus) -> Iterator[Event]:
    """Say how a canary got on."""
    old, new = before.stage, after.stage
    if new is None:
        return
    if after.latched and after.latched != before.latched:
        latch = after.latched
        said = f"canary {after.name}, stage {latch.stage}: rolled back by the {latch.by}"
        where = f" (pod {latch.pod})" if latch.pod else ""
        yield Event(EventReason.ROLLED_BACK, f"{said}{where}: {latch.message}")
    elif old is None or old.id != new.id:
        said = f"canary {after.name}: stage {new.id}, {new.number} of {new.of}"
        yield Event(EventReason.STAGE_ENTERED, f"{said}: the candidate gets {new.weight:g} %")
    if new.complete and not (old and old.complete):
        said = f"canary {after.name}: the candidate stays at {new.weight:g} %"
        yield Event(EventReason.CANARY_COMPLETE, said)
    if new.frozen and not (old and old.frozen):
        said = f"canary {after.name}, stage {new.id}: units do not divide by their weights"
        yield Event(EventReason.CANARY_FROZEN, said)
