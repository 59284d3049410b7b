"""Where the canaries of a Pipeline stand, and what engines are to do. Pure.

The state of a ramp lies in the Pipeline's status, what was counted in the evidence ConfigMap. What
follows from both is decided in `tiltyard_core.canary`, as on a laptop.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tiltyard_api.evidence import CanaryCounts, CanaryLedger
from tiltyard_api.names import CANARY_ANNOTATION
from tiltyard_api.plan import PlanCanary
from tiltyard_api.routing import CanaryRouting, RoutingTable
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.stage import CanaryState, Latch
from tiltyard_api.v1alpha1.status import PipelineStatus, StepStatus
from tiltyard_core.canary import Outcome, Seen, Wanted, decide, routing, wanted
from tiltyard_core.counts import remember, total
from tiltyard_operator.desired.config import Bundle
from tiltyard_operator.observed import Observed
from tiltyard_operator.synced import sync
from tiltyard_operator.verdicts import Verdict

WORST_FIRST = (
    ConditionReason.ROLLED_BACK,
    ConditionReason.FROZEN,
    ConditionReason.INSUFFICIENT_DATA,
    ConditionReason.AWAITING_PROMOTION,
    ConditionReason.RAMPING,
    ConditionReason.COMPLETE,
)
"""Of several canaries the worst is told."""

STORED_EVERY = 60.0
"""Seconds between two writes of counts, while nobody goes who counted."""


@dataclass(frozen=True, slots=True)
class Canaries:
    """Where all canaries stand, by the names of their steps."""

    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    ledgers: Mapping[str, CanaryLedger] = field(default_factory=dict)
    """What was ever counted in the stages that they were in up to now."""

    routings: Mapping[str, CanaryRouting] = field(default_factory=dict)
    """What engines are to do."""

    current: bool = True
    """Whether they are those of the spec as it is now, not of one before it."""

    @property
    def states(self) -> Mapping[str, CanaryState]:
        """What must outlive the operator."""
        return {step: one.state for step, one in self.outcomes.items()}

    @property
    def verdict(self) -> Verdict | None:
        """Say how they fare; None: there are none."""
        if not self.outcomes:
            return None
        step, worst = min(self.outcomes.items(), key=lambda one: WORST_FIRST.index(one[1].reason))
        return Verdict(worst.reason, f"{step}: {worst.message}")

    @property
    def watched(self) -> bool:
        """Whether counts may change something: a candidate gets a part of the requests."""
        return any(
            one.state.latched is None
            and not (one.state.stage.complete and one.state.stage.weight == 100)
            for one in self.outcomes.values()
        )

    def counts(self, step: str) -> CanaryCounts | None:
        """Give what was counted in the stage that is in force."""
        ledger, outcome = self.ledgers.get(step), self.outcomes[step]
        return total(ledger) if ledger and ledger.stage == outcome.state.stage.id else None


def judge(
    seen: Observed, pipeline: Pipeline | None, bundle: Bundle, now: float, *, current: bool
) -> Canaries:
    """Judge the canaries of a plan.

    Args:
        seen: the Pipeline, what its pods counted, and where its canaries stood.
        pipeline: what the user says; None: nothing that makes sense.
        bundle: what pods shall run.
        now: time of day.
        current: whether that is what the user says. Else a canary that its user changed waits
            where it is, until the models of the new one are known.

    """
    before = states(seen.previous.steps)
    outcomes, ledgers, routings = {}, {}, {}
    for step in bundle.plan.steps:
        if not isinstance(step, PlanCanary):
            continue
        state, want = before.get(step.name), _wanted(pipeline, bundle, step)
        if want and not current and (state is None or state.stage.revision != want.revision):
            want = None
        ledger = _ledger(seen, step.name, state)
        if ledger:
            ledgers[step.name] = ledger
        if want:
            said = _seen(seen, bundle.plan_hash, step.name, state, ledger, now)
            outcomes[step.name] = found = decide(want, state, said, now)
            routings[step.name] = routing(want, found.state)
        elif state:
            outcomes[step.name] = found = _waiting(seen, step.name, state)
            routings |= _as_it_was(seen.tables, bundle.plan_hash, step.name, found.state)
    return Canaries(outcomes, ledgers, routings, current)


def states(steps: Sequence[StepStatus] | None) -> dict[str, CanaryState]:
    """Read where canaries stood when that was last written."""
    return {
        one.name: CanaryState(stage=one.stage, latched=one.latched)
        for one in steps or ()
        if one.stage
    }


def to_be_kept(before: PipelineStatus, canaries: Canaries) -> PipelineStatus | None:
    """Give the status with the states that must be kept before they are acted on; None: none.

    Engines hear of a stage, a latch and a freeze. All else can wait for the report.
    """
    old = states(before.steps)
    now = canaries.states
    if all(step in old and _told(one) == _told(old[step]) for step, one in now.items()):
        return None
    steps = {one.name: one for one in before.steps or ()}
    for name, state in now.items():
        known = steps.get(name, StepStatus(name=name, kind="canary"))
        changes = {"stage": state.stage, "latched": state.latched}
        steps[name] = known.model_copy(update=changes)
    return before.model_copy(update={"steps": tuple(steps.values())})


def to_be_stored(seen: Observed, canaries: Canaries, now: float) -> bool:
    """Whether counts are to be written down: at once where somebody who counted goes."""
    fresh = {step: one for step, one in canaries.ledgers.items() if one.known}
    if all(seen.ledgers.get(step) == one for step, one in fresh.items()):
        return False
    return due(seen, now, gone=not seen.unwritten.pods <= {one.name for one in seen.pods})


def due(seen: Observed, now: float, *, gone: bool) -> bool:
    """Whether what changed is to be written down: at once where a pod that counted goes or went."""
    return gone or any(one.ending for one in seen.pods) or now - seen.kept_at >= STORED_EVERY


def _told(state: CanaryState) -> tuple[str, bool, Latch | None]:
    return state.stage.id, bool(state.stage.frozen), state.latched


def _wanted(pipeline: Pipeline | None, bundle: Bundle, step: PlanCanary) -> Wanted | None:
    """Read what the user wants of a canary; None where it is another, or none, by now."""
    for one in pipeline.spec.steps if pipeline else ():
        same = one.canary and (one.canary.stable, one.canary.candidate)
        if pipeline and one.name == step.name and same == (step.stable, step.candidate):
            return wanted(pipeline, step.name, bundle.plan)
    return None


def _ledger(seen: Observed, step: str, state: CanaryState | None) -> CanaryLedger | None:
    if state is None:
        return None
    before = seen.unwritten.ledgers.get(step)
    heard = [*before.known] if before else []
    heard += [one.canaries[step].counts for one in seen.said.values() if step in one.canaries]
    return remember(seen.ledgers.get(step), state.stage.id, heard)


def _seen(
    seen: Observed,
    plan: str,
    step: str,
    state: CanaryState | None,
    ledger: CanaryLedger | None,
    now: float,
) -> Seen:
    annotations = seen.document["metadata"].get("annotations") or {}
    return Seen(
        counts=total(ledger) if ledger else None,
        in_force=state is not None and _in_force(seen, plan, step, state.stage.id, now),
        latches=list(_latches(seen, step)),
        order=annotations.get(CANARY_ANNOTATION, ""),
    )


def _in_force(seen: Observed, plan: str, step: str, stage: str, now: float) -> bool:
    """Whether every pod that serves says that it runs the stage."""
    table = _table(seen.tables, plan)
    found = table.steps.get(step) if table else None
    if not isinstance(found, CanaryRouting) or found.stage_id != stage:
        return False
    said = sync(seen.pods, seen.said, table, 0.0, now)
    return bool(said.serving) and not (said.laggards or said.silent or said.quiet)


def _latches(seen: Observed, step: str) -> Iterator[Latch]:
    """What engines did by themselves, the first first."""
    latches = (
        (pod, one.canaries[step].latch) for pod, one in seen.said.items() if step in one.canaries
    )
    found = [latch.model_copy(update={"pod": pod}) for pod, latch in latches if latch]
    yield from sorted(found, key=lambda one: one.at)


def _waiting(seen: Observed, step: str, state: CanaryState) -> Outcome:
    """Leave a canary where it is; what an engine took out of the way stays so."""
    for one in _latches(seen, step):
        if state.latched is None and one.stage.rpartition("-")[0] == state.stage.run:
            state = state.model_copy(update={"latched": one})
    if state.latched:
        message = f"rolled back in stage {state.latched.stage}: {state.latched.message}"
        return Outcome(state, ConditionReason.ROLLED_BACK, message)
    message = f"stage {state.stage.id} stays, as what the spec says now cannot be served yet"
    return Outcome(state, ConditionReason.RAMPING, message)


def _as_it_was(
    tables: Sequence[RoutingTable], plan: str, step: str, state: CanaryState
) -> dict[str, CanaryRouting]:
    table = _table(tables, plan)
    found = table.steps.get(step) if table else None
    if not isinstance(found, CanaryRouting) or found.stage_id != state.stage.id:
        return {}
    return {step: found.model_copy(update={"latched": state.latched is not None})}


def _table(tables: Sequence[RoutingTable], plan: str) -> RoutingTable | None:
    return next((one for one in tables if one.plan == plan), None)
