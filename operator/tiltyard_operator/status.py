"""What is said of a Pipeline. Pure: the clock is an argument.

`Ready` is what all the rest comes to. It is True only where every pod that serves has said itself
that it runs the wanted plan with the wanted weights.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tiltyard_api.names import pipeline_version
from tiltyard_api.routing import RoutingTable
from tiltyard_api.v1alpha1.conditions import ConditionReason, ConditionType
from tiltyard_api.v1alpha1.status import (
    ListedModelStatus,
    PipelineStatus,
    RoutingStatus,
    VariantStatus,
    VersionStatus,
)
from tiltyard_operator.canaries import Canaries
from tiltyard_operator.conditions import Judged, Situation, judge, phase_of, stamped, unsynced
from tiltyard_operator.decide import Decision
from tiltyard_operator.desired.config import Bundle
from tiltyard_operator.desired.metadata import query, selector
from tiltyard_operator.desired.network import endpoint
from tiltyard_operator.experiments import shown
from tiltyard_operator.findings import condition
from tiltyard_operator.kinds import Object
from tiltyard_operator.observed import Observed, Workload
from tiltyard_operator.progress import patience_left, stuck, under_way
from tiltyard_operator.steps import steps
from tiltyard_operator.synced import PATIENCE, Sync, sync
from tiltyard_operator.verdicts import Verdict

FIGURES_EVERY = 60.0
"""Seconds between two writes for the sake of figures alone."""

FIGURED = (ConditionType.CANARY_HEALTHY, ConditionType.EXPERIMENT_CONCLUSIVE)
"""Conditions whose messages hold figures."""

SOON = (ConditionReason.QUEUED, ConditionReason.RETRYING)
"""What others end, who do not tell."""

LAST_WORDS_EVERY = 1.0
"""Seconds between two looks at what a pod counts which goes: where it is feedback, it waits for
one."""

WATCHED_EVERY = 2.0
"""Seconds between two looks at what a candidate does."""

LOOKED_EVERY = 60.0
"""Seconds between two looks at pods that do as they should: an event may have been lost."""

AWAITED_EVERY = 2.0
"""Seconds between two looks, at most, at what is about to change and is no event of ours."""

TRIED_EVERY = 10.0
"""Seconds between two tries of what was refused: a quota that grows, or a name that gets free, is
no event of ours. Pods and their Deployment are watched."""

LAGGARDS = 32
"""Pods that are named; the count is of all."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of the writes."""

    workload: Workload | None
    """The Deployment after them."""

    refused: Verdict | None = None
    """What could not be written, and why."""

    held: Verdict | None = None
    """What was left undone for now."""

    repaired: tuple[str, ...] = ()
    """Objects that others had changed or deleted."""

    routed: bool = False
    """Whether another routing table was written just now."""


def report(seen: Observed, decision: Decision, made: Made, now: float) -> PipelineStatus:
    """Say how a Pipeline is."""
    moment = datetime.fromtimestamp(int(now), UTC)
    found = shown(decision, seen.previous, moment)
    situation = replace(situate(seen, decision, made, now), experiment=found)
    workload, target = made.workload, decision.target
    table = _table(decision)
    bundle = (decision.wish or target).bundle if target else None
    conditions = stamped(seen.previous.conditions, judge(situation), seen.generation, moment)
    return PipelineStatus(
        observed_generation=seen.generation,
        phase=phase_of(situation),
        conditions=conditions,
        replicas=workload.current if workload else 0,
        ready_replicas=workload.ready if workload else 0,
        selector=query(selector(seen.owner.name)),
        version=_version(seen, decision),
        endpoint=endpoint(seen.owner.namespace, seen.owner.name),
        routing=_routing(table, situation.sync, moment) if table else None,
        models=_models(bundle) if bundle else None,
        steps=tuple(steps(bundle, table, seen, decision.canaries, situation.experiment))
        if bundle
        else None,
    )


def setback(before: PipelineStatus, generation: int, why: Verdict, now: float) -> PipelineStatus:
    """Say why a reconcile came to nothing: what it needs was refused, or fails again and again."""
    stalled = why.reason is ConditionReason.APPLY_REFUSED
    judged = [
        Judged(ConditionType.STALLED if stalled else ConditionType.RECONCILING, "True", why),
        Judged(ConditionType.READY, "False", why),
    ]
    gone = (ConditionType.STALLED, ConditionType.RECONCILING, ConditionType.READY)
    kept = tuple(one for one in before.conditions or () if one.type not in gone)
    moment = datetime.fromtimestamp(int(now), UTC)
    conditions = kept + stamped(before.conditions, judged, generation, moment)
    phase = "Stalled" if stalled else before.phase or "Pending"
    told = {"observed_generation": generation, "phase": phase, "conditions": conditions}
    return before.model_copy(update=told)


def situate(seen: Observed, decision: Decision, made: Made, now: float) -> Situation:
    """Bring together what the conditions follow from, but for the experiment, which is dear."""
    table = _table(decision)
    said = sync(seen.pods, seen.said, table, _heard(seen.previous, table), now)
    stalled = decision.stalled or made.refused or stuck(made.workload, seen.pods, now)
    busy = decision.waiting or made.held or under_way(made.workload, seen.pods)
    return Situation(
        decision=decision,
        stalled=stalled or _rolled_back(decision.canaries),
        busy=busy or (None if _moving(seen, decision, now) else unsynced(said)),
        sync=said,
        lasting=sum(one.serves and not one.ending for one in seen.pods),
        failed_before=any(not one.ready and one.restarts for one in seen.pods),
    )


def _rolled_back(canaries: Canaries) -> Verdict | None:
    fares = canaries.verdict
    rolled_back = fares is not None and fares.reason is ConditionReason.ROLLED_BACK
    return fares if rolled_back and canaries.current else None


def _moving(seen: Observed, decision: Decision, now: float) -> bool:
    """Whether pods are just about to hear of a stage: this alone makes nothing less ready."""
    ready = condition(seen.previous.conditions, ConditionType.READY)
    if ready is None or (ready.status, ready.observed_generation) != ("True", seen.generation):
        return False
    entered = [one.stage.entered.timestamp() for one in decision.canaries.states.values()]
    return any(0 <= now - one < PATIENCE for one in entered)


def _heard(before: PipelineStatus, table: RoutingTable | None) -> float:
    """When every pod that served then was heard to run this table; 0: never."""
    synced = condition(before.conditions, ConditionType.ROUTING_SYNCED)
    routing = before.routing
    if table is None or routing is None or routing.hash != table.hash or not routing.observed_at:
        return 0.0
    agreed = synced is not None and synced.status == "True"
    return routing.observed_at.timestamp() if agreed else 0.0


def worth_writing(before: PipelineStatus, after: PipelineStatus, now: float) -> bool:
    """Whether a status says anything new: figures by themselves do once in a while."""
    if _without_figures(before) != _without_figures(after):
        return True
    told = before.routing.observed_at if before.routing else None
    return before.steps != after.steps and (told is None or now - told.timestamp() >= FIGURES_EVERY)


def plain(status: PipelineStatus) -> Object:
    """Write a status as the API server takes it."""
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def next_look(seen: Observed, decision: Decision, made: Made, now: float) -> float | None:
    """Seconds until something may have changed that no event tells of; None: nothing will."""
    situation = situate(seen, decision, made, now)
    times = [one.due - now for one in decision.findings.values() if one.due is not None]
    if situation.sync.laggards or situation.sync.quiet or situation.sync.silent:
        since = 0.0 if made.routed else now - seen.routed_at
        times.append(min(max(since / 2, 0.1), AWAITED_EVERY))
    elif situation.sync.serving:
        times.append(LOOKED_EVERY)
    if decision.canaries.watched and situation.sync.serving:
        times += [
            WATCHED_EVERY,
            *(one.due for one in decision.canaries.outcomes.values() if one.due),
        ]
    counted = decision.collected.ledger or decision.shadowed.ledger
    if counted and any(one.ending for one in seen.pods):
        times.append(LAST_WORDS_EVERY)
    times += patience_left(seen.pods, now)
    if situation.busy and situation.busy.reason in SOON:
        times.append(AWAITED_EVERY)
    if made.refused:
        times.append(TRIED_EVERY)
    return max(min(times), 0.1) if times else None


def _without_figures(status: PipelineStatus) -> PipelineStatus:
    """Leave out what changes all the time, such as what a canary waits for by number."""
    routing = status.routing.model_copy(update={"observed_at": None}) if status.routing else None
    conditions = tuple(
        one.model_copy(update={"message": ""}) if one.type in FIGURED else one
        for one in status.conditions or ()
    )
    steps = tuple(
        step.model_copy(
            update={
                "evidence": None,
                "verdict": None,
                "variants": tuple(
                    VariantStatus(model=one.model, weight=one.weight, effective=one.effective)
                    for one in step.variants or ()
                ),
            }
        )
        for step in status.steps or ()
    )
    told = {"routing": routing, "conditions": conditions, "steps": steps}
    return status.model_copy(update=told)


def _table(decision: Decision) -> RoutingTable | None:
    plan = decision.target.bundle.plan_hash if decision.target else None
    return next((one for one in decision.tables if one.plan == plan), None)


def _version(seen: Observed, decision: Decision) -> VersionStatus:
    wish = decision.wish.bundle.plan_hash if decision.wish else None
    serving = {one.plan for one in seen.pods if one.serves}
    running = [seen.bundles[start].plan_hash for start in serving if start in seen.bundles]
    return VersionStatus(
        desired=pipeline_version(wish) if wish else None,
        active=pipeline_version(running[0]) if len(running) == 1 else None,
        hash=wish,
    )


def _routing(table: RoutingTable, said: Sync, moment: datetime) -> RoutingStatus:
    return RoutingStatus(
        revision=table.revision,
        hash=table.hash,
        synced=said.text,
        laggards=(said.laggards + said.silent)[:LAGGARDS] or None,
        observed_at=moment,
    )


def _models(bundle: Bundle) -> tuple[ListedModelStatus, ...]:
    return tuple(
        ListedModelStatus(
            name=one.name,
            digest=one.digest,
            size=one.size,
            version=one.version,
            framework=one.framework,
        )
        for one in bundle.plan.models
    )
