"""The conditions of a Pipeline: one situation, judged by each of them. Pure.

As kstatus has it, `Stalled` and `Reconciling` are there while they are True and not otherwise, and
never both: who waits for an object must know whether waiting helps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from tiltyard_api.v1alpha1.conditions import ConditionReason, ConditionType
from tiltyard_api.v1alpha1.status import Condition
from tiltyard_operator.decide import Decision
from tiltyard_operator.experiments import Shown
from tiltyard_operator.synced import Sync
from tiltyard_operator.verdicts import Verdict

LONGEST = 2000
"""Characters of a message: whatever a server said, a status stays small."""

Truth = Literal["True", "False", "Unknown"]
HEALTHY: Mapping[ConditionReason, Truth] = {
    ConditionReason.RAMPING: "True",
    ConditionReason.AWAITING_PROMOTION: "True",
    ConditionReason.COMPLETE: "True",
    ConditionReason.INSUFFICIENT_DATA: "Unknown",
    ConditionReason.FROZEN: "Unknown",
    ConditionReason.ROLLED_BACK: "False",
}
"""Whether a candidate does well, by how its canary fares."""

CONCLUSIVE: Mapping[ConditionReason, Truth] = {
    ConditionReason.VARIANT_BETTER: "True",
    ConditionReason.CONTROL_BEST: "True",
    ConditionReason.NO_VERDICT: "False",
    ConditionReason.SAMPLE_RATIO_MISMATCH: "False",
    ConditionReason.INSUFFICIENT_DATA: "Unknown",
}
"""Whether an experiment has shown something, by how it stands."""

Phase = Literal["Pending", "Loading", "Rolling", "Running", "Suspended", "Degraded", "Stalled"]


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything that the conditions follow from."""

    decision: Decision
    stalled: Verdict | None
    """What only people can mend."""

    busy: Verdict | None
    """What is still under way."""

    sync: Sync
    lasting: int
    """Pods that serve and shall go on to."""

    failed_before: bool
    """Whether a pod that does not serve was started anew."""

    experiment: Shown | None = None
    """What the experiment has shown; None: there is none."""

    @property
    def idle(self) -> Verdict | None:
        """Why no pod is wanted; None: some are."""
        if self.decision.suspended:
            return Verdict(ConditionReason.SUSPENDED, "suspend is true: no pods are wanted")
        if self.decision.replicas == 0:
            return Verdict(ConditionReason.SCALED_TO_ZERO, "no pods are wanted")
        return None


@dataclass(frozen=True, slots=True)
class Judged:
    """A condition without its times."""

    type: ConditionType
    status: Truth
    why: Verdict


def judge(situation: Situation) -> Iterator[Judged]:
    """Give every condition that there is to be."""
    decision = situation.decision
    yield _by_reason(ConditionType.ACCEPTED, decision.accepted, ConditionReason.VALID)
    yield _loaded(decision.loaded)
    yield _available(situation)
    yield _synced(situation)
    fares = decision.canaries.verdict
    if fares:
        yield Judged(ConditionType.CANARY_HEALTHY, HEALTHY[fares.reason], fares)
    if situation.experiment:
        yield _conclusive(situation.experiment)
    if situation.stalled:
        yield Judged(ConditionType.STALLED, "True", situation.stalled)
    elif situation.busy:
        yield Judged(ConditionType.RECONCILING, "True", situation.busy)
    yield _ready(situation)


def phase_of(situation: Situation) -> Phase:
    """One word for people."""
    if situation.stalled:
        return "Stalled"
    if situation.decision.suspended:
        return "Suspended"
    if situation.busy:
        return _phase_of_work(situation, situation.busy.reason)
    return "Degraded" if situation.sync.silent else "Running"


def stamped(
    before: Iterable[Condition] | None, judged: Iterable[Judged], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Add the times: each condition keeps the one of its last change."""
    old = {one.type: one for one in before or ()}
    return tuple(
        Condition(
            type=one.type,
            status=one.status,
            reason=one.why.reason,
            message=one.why.message[:LONGEST],
            last_transition_time=old[one.type].last_transition_time
            if one.type in old and old[one.type].status == one.status
            else now,
            observed_generation=generation,
        )
        for one in judged
    )


def _by_reason(type_: ConditionType, why: Verdict, good: ConditionReason) -> Judged:
    return Judged(type_, "True" if why.reason is good else "False", why)


def _loaded(why: Verdict) -> Judged:
    unsettled = why.reason in (ConditionReason.RESOLVING, ConditionReason.RETRYING)
    if unsettled:
        return Judged(ConditionType.MODELS_LOADED, "Unknown", why)
    return _by_reason(ConditionType.MODELS_LOADED, why, ConditionReason.RESOLVED)


def _available(situation: Situation) -> Judged:
    if situation.lasting:
        why = Verdict(ConditionReason.SERVING, f"{pods(situation.lasting)} serve")
    else:
        why = situation.idle or Verdict(ConditionReason.NO_POD_SERVES, "no pod serves")
    return _by_reason(ConditionType.AVAILABLE, why, ConditionReason.SERVING)


def _synced(situation: Situation) -> Judged:
    sync, kind = situation.sync, ConditionType.ROUTING_SYNCED
    if not sync.serving:
        nothing = Verdict(ConditionReason.NO_POD_SERVES, "no pod serves")
        return Judged(kind, "False", situation.idle or nothing)
    if sync.silent:
        return Judged(kind, "Unknown", silence(sync.silent))
    behind = unsynced(sync)
    if behind:
        return Judged(kind, "False", behind)
    said = f"{sync.text} pods run the wanted plan and weights"
    return Judged(kind, "True", Verdict(ConditionReason.SYNCED, said))


def _conclusive(shown: Shown) -> Judged:
    verdict = shown.verdict
    said = "; ".join(filter(None, (verdict.message, shown.shortage)))
    why = Verdict(ConditionReason(verdict.reason), f"{shown.step}: {said}")
    return Judged(ConditionType.EXPERIMENT_CONCLUSIVE, CONCLUSIVE[why.reason], why)


def _ready(situation: Situation) -> Judged:
    kind = ConditionType.READY
    why = situation.stalled or situation.idle or situation.busy
    if why:
        return Judged(kind, "False", why)
    if situation.sync.silent:
        return Judged(kind, "Unknown", silence(situation.sync.silent))
    said = f"{pods(situation.lasting)} serve what the spec says"
    return Judged(kind, "True", Verdict(ConditionReason.SERVING, said))


def _phase_of_work(situation: Situation, reason: ConditionReason) -> Phase:
    if situation.decision.waiting:
        return "Loading"
    if reason is ConditionReason.SYNCING:
        return "Running"
    if reason in (ConditionReason.QUEUED, ConditionReason.RETRYING):
        return "Running" if situation.lasting else "Pending"
    if reason is ConditionReason.LOADING:
        if not situation.lasting:
            return "Loading"
        return "Degraded" if situation.failed_before else "Rolling"
    return "Rolling"


def unsynced(sync: Sync) -> Verdict | None:
    """Say who does not run what is wanted, as far as is known; None: everybody does."""
    if not sync.laggards:
        return None
    said = f"{sync.text} pods run the wanted plan and weights, not yet: {names(sync.laggards)}"
    return Verdict(ConditionReason.SYNCING, said)


def silence(silent: Sequence[str]) -> Verdict:
    """Say who says nothing."""
    said = f"no answer from {names(silent)}: what it serves is not known"
    return Verdict(ConditionReason.POD_SILENT, said)


def names(pods_named: Sequence[str]) -> str:
    """Name the first few."""
    rest = len(pods_named) - 5
    return ", ".join(pods_named[:5]) + (f" and {rest} more" if rest > 0 else "")


def pods(number: int) -> str:
    """Count."""
    return "1 pod" if number == 1 else f"{number} pods"
