"""Decides where a canary goes from what is wanted, where it stood, and what was counted. Pure.

Whoever runs canaries calls `decide` again and again, keeps the state that it gives before anything
else is done, and puts `routing` of that state in force. Both may die in between: the next call goes
on from the state that was kept. A call moves a ramp by one stage at most.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from tiltyard_api.evidence import CanaryCounts
from tiltyard_api.plan import Plan
from tiltyard_api.routing import CanaryRouting, GuardRouting
from tiltyard_api.v1alpha1.canary import Canary, Guards
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.stage import CanaryState, GuardEvidence, Latch, Stage, stage_id
from tiltyard_core.guards import (
    against,
    all_failed,
    excess,
    judge,
    latch,
    most_engines,
    ratio_faults,
    routed,
    told,
    units_of,
)
from tiltyard_core.ramp import Height, heights

HASH = 16
"""Characters of the hashes in a state."""

RUN = 8
"""Characters of a run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a manifest says of a canary, with the bytes of its models."""

    revision: str
    pair: str
    heights: tuple[Height, ...]
    guards: Guards
    all_engines: GuardRouting
    """By what the counts of all engines are judged."""

    one_engine: GuardRouting
    """By what each engine judges its own."""

    engines: int
    """Most engines that there may be."""

    def waits(self, number: int) -> bool:
        """Whether a stage lasts until somebody promotes it; after the last there is no other."""
        return self.heights[number - 1].hold is None and number < len(self.heights)


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to decide by."""

    counts: CanaryCounts | None = None
    """Of all engines together; of another stage they do not count."""

    in_force: bool = False
    """Whether every engine that serves says itself that it runs the stage."""

    latches: Sequence[Latch] = ()
    """What engines did by themselves."""

    order: str = ""
    """The annotation by which people promote or abort a stage."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows."""

    state: CanaryState
    """To be kept before it is acted on; the same as before where nothing changed."""

    reason: ConditionReason
    message: str
    evidence: tuple[GuardEvidence, ...] = ()
    due: float | None = None
    """Seconds until time alone may change something."""


def wanted(pipeline: Pipeline, step: str, plan: Plan) -> Wanted:
    """Read what a manifest wants of a canary.

    Args:
        pipeline: what the user says.
        step: name of a step that is a canary.
        plan: compiled from it.

    """
    canary = next(one.canary for one in pipeline.spec.steps if one.name == step and one.canary)
    planned = next(one for one in plan.steps if one.name == step)
    versions = {one.name: one.version for one in plan.models}
    drawn = planned.model_dump(mode="json", include={"stable", "candidate", "hash_key", "salt"})
    pair = _hash({**drawn, "versions": [versions[canary.stable], versions[canary.candidate]]})
    return described(canary, pipeline.spec.deployment, pair)


def described(canary: Canary, deployment: Deployment, pair: str = "") -> Wanted:
    """Read what a manifest wants of a canary, whatever its models are.

    Args:
        canary: the step.
        deployment: says how many engines there may be.
        pair: tells the models and how their units are drawn from others.

    """
    said = canary.model_dump(mode="json", by_alias=True, include={"ramp", "guards"})
    stages = heights(canary.ramp)
    return Wanted(
        revision=_hash({"pair": pair, "said": said}),
        pair=pair,
        heights=stages,
        guards=canary.guards,
        all_engines=routed(canary.guards, len(stages)),
        one_engine=routed(canary.guards, len(stages), deployment),
        engines=most_engines(deployment),
    )


def routing(want: Wanted, state: CanaryState) -> CanaryRouting:
    """Give what engines are to do in a state."""
    return CanaryRouting(
        run=state.stage.run,
        stage=state.stage.number,
        weight=state.stage.weight,
        latched=state.latched is not None,
        frozen=bool(state.stage.frozen),
        guards=want.one_engine,
    )


def unbegun(canary: Canary, deployment: Deployment) -> CanaryRouting:
    """Give what engines are to do before the first stage: the candidate gets nothing."""
    guards = routed(canary.guards, len(heights(canary.ramp)), deployment)
    return CanaryRouting(run="", stage=0, weight=0, guards=guards)


def decide(want: Wanted, before: CanaryState | None, seen: Seen, now: float) -> Outcome:
    """Decide where a canary stands now.

    Args:
        want: what the manifest says now.
        before: the state that was kept last; None: the canary is new.
        seen: counts, and what engines and people say.
        now: time of day. Where it lies before what was kept, holds begin anew: a clock that was
            set back never ends a stage too soon.

    """
    if before is None or before.stage.revision != want.revision:
        return _said(want, _entered(want, _first(want, before), now), seen, now)
    state = _anchored(before, seen, now)
    for step in (_ordered, _stopped, _frozen, _judged, _moved):
        if state.latched or state.stage.number != before.stage.number:
            break
        state = step(want, state, seen, now)
    return _said(want, state, seen, now)


def _first(want: Wanted, before: CanaryState | None) -> int:
    """Number of the stage that a new or edited ramp begins with.

    The same pair of models goes on where it has come to: at the first stage that gives the
    candidate as much as it has, or at the last where none does. Another pair, and one that was
    rolled back, begins at the beginning.
    """
    if before is None or before.latched or before.stage.pair != want.pair:
        return 1
    reached = (n for n, one in enumerate(want.heights, 1) if one.weight >= before.stage.weight)
    return next(reached, len(want.heights))


def _entered(want: Wanted, number: int, now: float, run: str | None = None) -> CanaryState:
    """Give the state at the beginning of a stage."""
    entered = datetime.fromtimestamp(now, UTC)
    new = _hash({"revision": want.revision, "entered": entered.isoformat()})[:RUN]
    stage = Stage(
        id=stage_id(run or new, number),
        number=number,
        of=len(want.heights),
        weight=want.heights[number - 1].weight,
        entered=entered,
        revision=want.revision,
        pair=want.pair,
    )
    return CanaryState(stage=stage)


def _anchored(state: CanaryState, seen: Seen, now: float) -> CanaryState:
    """Begin the hold when every engine runs the stage, and anew where the clock was set back."""
    since = state.stage.since
    if since is None and not seen.in_force:
        return state
    if since is None or now < since.timestamp():
        return _with(state, since=datetime.fromtimestamp(now, UTC))
    return state


def _ordered(want: Wanted, state: CanaryState, seen: Seen, now: float) -> CanaryState:
    """Obey people: an order names its stage, and so is obeyed once."""
    verb, _, stage = seen.order.partition("@")
    if stage != state.stage.id:
        return state
    if verb == "abort":
        found = latch(stage, "user", "abort", "aborted by its annotation", now)
        return state.model_copy(update={"latched": found})
    if verb == "promote" and not state.stage.complete:
        return _next(want, state, now)
    return state


def _stopped(_want: Wanted, state: CanaryState, seen: Seen, now: float) -> CanaryState:
    """Take the candidate out of the way where an engine did, or where it does nothing but fail."""
    for one in seen.latches:
        if one.stage.rpartition("-")[0] == state.stage.run:
            return state.model_copy(update={"latched": one})
    counts = _counts(state, seen)
    if counts is None or not all_failed(counts):
        return state
    message = f"all of its {counts.candidate.errors.count} units failed"
    return _rolled_back(state, "row", message, now)


def _frozen(_want: Wanted, state: CanaryState, seen: Seen, _now: float) -> CanaryState:
    """Freeze a stage whose units do not divide as they should."""
    counts = _counts(state, seen)
    if counts and any(ratio_faults(counts, state.stage.weight, state.stage.of)):
        return _with(state, frozen=True)
    return state


def _judged(want: Wanted, state: CanaryState, seen: Seen, now: float) -> CanaryState:
    """Roll back where the counts of all engines say so."""
    counts = _counts(state, seen)
    if counts is None or state.stage.frozen:
        return state
    evidence = judge(counts, state.stage.weight, want.all_engines)
    found = against(evidence, state.stage.weight, want.all_engines)
    return _rolled_back(state, found.guard, told(found), now) if found else state


def _moved(want: Wanted, state: CanaryState, seen: Seen, now: float) -> CanaryState:
    """End a stage that has lasted and shown what it must."""
    stage = state.stage
    if stage.since is None or not seen.in_force or stage.frozen or stage.complete:
        return state
    if want.waits(stage.number) or _held(want, state, now) > 0:
        return state
    return state if _lacking(want, state, _counts(state, seen)) else _next(want, state, now)


def _rolled_back(state: CanaryState, guard: str, message: str, now: float) -> CanaryState:
    found = latch(state.stage.id, "operator", guard, message, now)
    return state.model_copy(update={"latched": found})


def _next(want: Wanted, state: CanaryState, now: float) -> CanaryState:
    """Give the next stage; the last one is complete when it ends."""
    if state.stage.number == state.stage.of:
        return _with(state, complete=True, frozen=None)
    return _entered(want, state.stage.number + 1, now, state.stage.run)


def _held(want: Wanted, state: CanaryState, now: float) -> float:
    """Seconds that a stage must last yet; 0 where it is in nobody's way."""
    hold = want.heights[state.stage.number - 1].hold or 0.0
    if state.stage.since is None:
        return hold
    return max(0.0, state.stage.since.timestamp() + hold - now)


def _lacking(want: Wanted, state: CanaryState, counts: CanaryCounts | None) -> str | None:
    """Say what a stage must have shown and has not; a candidate without traffic shows nothing."""
    if not state.stage.weight:
        return None
    units = units_of(counts.candidate, counts) if counts else 0
    if units < want.guards.min_units:
        return f"the candidate has had {units} of {want.guards.min_units} units"
    most = want.guards.errors.max_excess
    if most is None or state.stage.weight == 100:
        return None
    bound = excess(counts) if counts else 1.0
    if bound >= most:
        return f"it may fail up to {bound:.4f} more of its units, {most:g} are put up with"
    return None


def _said(want: Wanted, state: CanaryState, seen: Seen, now: float) -> Outcome:
    counts, stage = _counts(state, seen), state.stage
    reason, message = _in_words(want, state, seen, now)
    return Outcome(
        state=state,
        reason=reason,
        message=message,
        evidence=judge(counts, stage.weight, want.all_engines) if counts else (),
        due=_held(want, state, now) or None if reason == ConditionReason.RAMPING else None,
    )


def _in_words(
    want: Wanted, state: CanaryState, seen: Seen, now: float
) -> tuple[ConditionReason, str]:
    """Say how a canary is, in a word and in a sentence."""
    stage, counts = state.stage, _counts(state, seen)
    if state.latched or stage.frozen or stage.complete:
        return _at_rest(state, counts)
    where, lacking = _where(stage), _lacking(want, state, counts)
    if stage.since is None or not seen.in_force:
        return ConditionReason.RAMPING, f"{where} is being put in force"
    if want.waits(stage.number):
        so_far = f"; so far {lacking}" if lacking else ""
        return ConditionReason.AWAITING_PROMOTION, f"{where} waits to be promoted{so_far}"
    if lacking and not _held(want, state, now):
        return ConditionReason.INSUFFICIENT_DATA, f"{where} goes on: {lacking}"
    return ConditionReason.RAMPING, where


def _at_rest(state: CanaryState, counts: CanaryCounts | None) -> tuple[ConditionReason, str]:
    """Say of a canary that does not move by itself why it does not."""
    stage = state.stage
    if state.latched:
        message = f"rolled back in stage {state.latched.stage}: {state.latched.message}"
        return ConditionReason.ROLLED_BACK, f"{message}; change the canary to try again"
    if stage.frozen:
        faults = ratio_faults(counts, stage.weight, stage.of) if counts else iter(())
        why = next(faults, "units did not divide as the weight says")
        return ConditionReason.FROZEN, f"{_where(stage)} is frozen: {why}; promote or abort it"
    return ConditionReason.COMPLETE, f"complete in {_where(stage)}"


def _where(stage: Stage) -> str:
    where = f"stage {stage.id} ({stage.number} of {stage.of}, {stage.weight:g} %)"
    if 0 < stage.weight < 100:
        return where
    return f"{where}, nothing to compare with, so that relative guards pause,"


def _counts(state: CanaryState, seen: Seen) -> CanaryCounts | None:
    counts = seen.counts
    return counts if counts and counts.stage == state.stage.id else None


def _with(state: CanaryState, **changes: object) -> CanaryState:
    return state.model_copy(update={"stage": state.stage.model_copy(update=changes)})


def _hash(content: object) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH]
