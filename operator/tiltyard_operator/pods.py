"""What a pod of an engine is like: whether it serves, and what is wrong with it. Pure."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_operator.desired.metadata import PLAN_LABEL
from tiltyard_operator.kinds import Object
from tiltyard_operator.verdicts import Verdict

FAILING = frozenset(
    {
        "CrashLoopBackOff",
        "CreateContainerConfigError",
        "CreateContainerError",
        "ErrImageNeverPull",
        "ErrImagePull",
        "ImageInspectError",
        "ImagePullBackOff",
        "InvalidImageName",
        "RunContainerError",
    }
)
"""Why a container waits, where waiting alone will not help."""

MESSAGE = 300
"""Characters of other people's words that a sentence of ours may quote."""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod of a Pipeline."""

    name: str
    plan: str
    """Start of the hash of what it was started with."""

    ready: bool
    ready_since: float
    """When it last became so; never: infinity."""

    ending: bool
    restarts: int
    trouble: Verdict | None
    """What keeps it from serving and is not the operator's to mend."""

    unplaced_since: float | None
    """Since when no node takes it."""

    obj: Object
    """As it was read: it is asked at its address."""

    @property
    def serves(self) -> bool:
        """Whether requests may reach it, by connections that were opened before it began to end."""
        return self.ready


def observe_pod(obj: Object) -> Pod:
    """Take the facts out of a pod."""
    head, status = obj["metadata"], obj.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get("Ready", {})
    unplaced = conditions.get("PodScheduled", {})
    waits = unplaced.get("status") == "False" and unplaced.get("reason") == "Unschedulable"
    return Pod(
        name=head["name"],
        plan=(head.get("labels") or {}).get(PLAN_LABEL, ""),
        ready=ready.get("status") == "True",
        ready_since=stamp(ready["lastTransitionTime"])
        if ready.get("lastTransitionTime")
        else math.inf,
        ending="deletionTimestamp" in head,
        restarts=sum(one.get("restartCount", 0) for one in _containers(status)),
        trouble=next(_troubles(obj), None),
        unplaced_since=stamp(head["creationTimestamp"]) if waits else None,
        obj=obj,
    )


def stamp(text: str) -> float:
    """Seconds since 1970 of a time as Kubernetes writes it."""
    return datetime.fromisoformat(text).timestamp()


def last_words(terminated: Object) -> Verdict:
    """Why a container of ours ended: its report where it left one, else its last line."""
    lines = (terminated.get("message") or "").strip().splitlines()
    try:
        report = json.loads(lines[-1])
        return Verdict(artifact_reason(report["reason"]), str(report["fault"]))
    except (ValueError, LookupError, TypeError):
        pass
    if terminated.get("reason") == "OOMKilled":
        said = "it needed more memory than it was given: raise deployment.memory"
        return Verdict(ConditionReason.PODS_FAILING, said)
    said = lines[-1] if lines else f"exit code {terminated.get('exitCode', '?')}"
    return Verdict(ConditionReason.PODS_FAILING, said[:MESSAGE])


def artifact_reason(word: str) -> ConditionReason:
    """Take a fetcher's reason for a condition's; where it is none, for a failure at large."""
    try:
        return ConditionReason(word)
    except ValueError:
        return ConditionReason.RESOLVE_FAILED


def blocked(obj: Object) -> str:
    """Why the containers of a pod cannot be started; empty: they can."""
    for one in _containers(obj.get("status") or {}):
        waiting = (one.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in FAILING:
            return f"{waiting['reason']}: {waiting.get('message', '')[:MESSAGE]}".rstrip(": ")
    return ""


def _containers(status: Object) -> list[Object]:
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _troubles(obj: Object) -> Iterator[Verdict]:
    pod = obj["metadata"]["name"]
    for one in _containers(obj.get("status") or {}):
        waiting = (one.get("state") or {}).get("waiting") or {}
        ended = (one.get("state") or {}).get("terminated") or {}
        before = (one.get("lastState") or {}).get("terminated") or {}
        failed = ended if ended.get("exitCode") else before
        if failed and (ended.get("exitCode") or waiting.get("reason") == "CrashLoopBackOff"):
            said = last_words(failed)
            yield Verdict(said.reason, f"pod {pod} cannot start: {said.message}")
        elif before.get("exitCode") and not ended and not one.get("ready"):
            said = last_words(before)
            yield Verdict(said.reason, f"pod {pod} ended and starts again: {said.message}")
    why = blocked(obj)
    if why:
        yield Verdict(ConditionReason.PODS_FAILING, f"pod {pod} cannot start: {why}")
