"""What follows from what is observed. Pure: the clock is an argument.

The wish is what the spec says now. The target is what pods shall run: the wish, once its models are
known and its steps fit, and the newest version before that, so that what ran keeps running, is
repaired, and hears of new weights.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from tiltyard_api.artifacts import Artifact, ArtifactList
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.names import HASH_CHARACTERS
from tiltyard_api.routing import RoutingTable
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.model import Model
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.rules import workers_fit
from tiltyard_core.cel.check import checked
from tiltyard_core.compile import compile_plan
from tiltyard_core.references import referred, with_models
from tiltyard_operator import shadows
from tiltyard_operator.canaries import Canaries, judge
from tiltyard_operator.desired.config import Bundle
from tiltyard_operator.desired.history import Fact, Record, Version
from tiltyard_operator.desired.workload import OWN_SPEC, TEMPLATE, Cause
from tiltyard_operator.feedback import NOTHING, Collected, collect
from tiltyard_operator.findings import Finding, Known, find, unknown_keys
from tiltyard_operator.kinds import Object
from tiltyard_operator.observed import Observed, Workload
from tiltyard_operator.shadows import NONE, Shadowed
from tiltyard_operator.tables import Said, tables
from tiltyard_operator.verdicts import Verdict

VALID = Verdict(ConditionReason.VALID, "the spec is valid")
MOST_FAULTS = 5
"""Faults that one message names."""


@dataclass(frozen=True, slots=True)
class Target:
    """What pods shall run."""

    pipeline: Pipeline
    """With every model described in place."""

    record: Record
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and what is to be said of it."""

    accepted: Verdict
    loaded: Verdict
    stalled: Verdict | None
    """What only people can mend."""

    waiting: Verdict | None
    """What the target waits for."""

    wish: Target | None
    target: Target | None
    findings: Mapping[str, Finding]
    canaries: Canaries
    tables: tuple[RoutingTable, ...]
    replicas: int | None
    suspended: bool
    collected: Collected = NOTHING
    """What engines said of the experiment."""

    shadowed: Shadowed = NONE
    """What challengers did."""


def decide(seen: Observed, spec: "Spec", now: float) -> Decision:
    """Decide what follows."""
    pipeline, accepted = spec.pipeline, spec.accepted
    findings = find(pipeline, known(seen), seen.trials, now) if pipeline else {}
    loaded = _loaded(findings) if pipeline else accepted
    wish, fault = None, None
    if pipeline and all(one.fact for one in findings.values()):
        record = Record(
            spec=dict(seen.document["spec"]),
            resolved=_facts(findings),
            models={name: one for name, one in _models(seen).items() if name in referred(pipeline)},
        )
        wish, fault = _compiled(pipeline, record)
    target = wish or _last(seen, spec.said)
    final = next((one for one in findings.values() if one.final), None)
    stalled = accepted if not pipeline else fault or (loaded if final else None)
    shape = spec.said or (target.pipeline if target else None)
    canaries, collected, shadowed = Canaries(), NOTHING, NONE
    if target:
        collected = collect(seen, target.bundle)
        shadowed = shadows.collect(seen, target.bundle)
        canaries = judge(seen, spec.said, target.bundle, now, current=target is wish)
    return Decision(
        accepted=accepted,
        loaded=fault or loaded,
        stalled=stalled,
        waiting=None if stalled or wish else loaded,
        wish=wish,
        target=target,
        findings=findings,
        canaries=canaries,
        tables=_tables(seen, spec.said, target, canaries) if target else (),
        replicas=replicas(shape, seen.workload) if shape else None,
        suspended=bool(shape and shape.spec.suspend),
        collected=collected,
        shadowed=shadowed,
    )


@dataclass(frozen=True, slots=True)
class Spec:
    """What the user wants, as far as it makes sense."""

    pipeline: Pipeline | None
    """With every model described in place."""

    accepted: Verdict
    said: Pipeline | None = None
    """As its user wrote it, where that is valid, whether its Models are there or not."""


def accept(seen: Observed) -> Spec:
    """Take the spec if it is valid and what it refers to is there."""
    try:
        pipeline = checked(read_pipeline(seen.document))
    except InvalidManifest as error:
        return Spec(None, Verdict(ConditionReason.INVALID, faults(error)))
    try:
        complete = with_models(pipeline, _models(seen))
    except InvalidManifest as error:
        return Spec(None, Verdict(ConditionReason.MODEL_NOT_FOUND, faults(error)), pipeline)
    # Models that are objects of their own were not there when the manifest was read.
    crowded = list(workers_fit(complete.spec.model_dump(mode="json", by_alias=True)))
    if crowded:
        verdict = Verdict(ConditionReason.INVALID, faults(InvalidManifest(crowded)))
        return Spec(None, verdict, pipeline)
    return Spec(complete, VALID, pipeline)


def to_be_tried(seen: Observed, spec: Spec) -> set[str]:
    """Keys of the models about which only trials could tell."""
    return unknown_keys(spec.pipeline, known(seen)) if spec.pipeline else set()


def faults(error: InvalidManifest) -> str:
    """One sentence of all faults, or of the first few."""
    named = "; ".join(map(str, error.faults[:MOST_FAULTS]))
    rest = len(error.faults) - MOST_FAULTS
    return f"{named}; and {rest} more" if rest > 0 else named


def replicas(pipeline: Pipeline, workload: Workload | None) -> int | None:
    """How many pods to ask for; None: somebody else says.

    A number that was ours would fall to 1 if we just left it out. So it stays as it is until the
    autoscaler has written it once.
    """
    wanted = pipeline.spec.deployment
    if pipeline.spec.suspend:
        return 0
    if not wanted.autoscaling:
        return 1 if wanted.replicas is None else wanted.replicas
    if workload is None or not workload.wanted:
        return wanted.autoscaling.min
    return workload.wanted if workload.ours else None


def cause_of(deployment: Object, workload: Workload | None) -> Cause | None:
    """Why a Deployment would replace its pods; None: it would not."""
    said = deployment["metadata"]["annotations"]
    if workload is None:
        return Cause.SPEC
    if workload.annotations.get(TEMPLATE) == said[TEMPLATE]:
        return None
    mine = workload.annotations.get(OWN_SPEC) != said[OWN_SPEC]
    return Cause.SPEC if mine else Cause.SHARED


def known(seen: Observed) -> Known:
    """Facts that need no trial."""
    return Known.of(seen.versions, seen.models)


def _models(seen: Observed) -> dict[str, Model]:
    """Models that can be read. The others are not there, as far as a Pipeline goes."""
    found = {}
    for name, obj in seen.models.items():
        try:
            found[name] = read_model(obj)
        except InvalidManifest:
            continue
    return found


def _loaded(findings: Mapping[str, Finding]) -> Verdict:
    """Judge the models together: the worst counts, and names its model."""
    for wanted in (True, False):
        for name, one in findings.items():
            if one.verdict and one.final is wanted:
                return Verdict(one.verdict.reason, f"model {name}: {one.verdict.message}")
    names = ", ".join(
        f"{name} {one.fact.resolved.digest[:12]}" for name, one in findings.items() if one.fact
    )
    return Verdict(ConditionReason.RESOLVED, f"all models were found and tried: {names}")


def _facts(findings: Mapping[str, Finding]) -> dict[str, Fact]:
    return {name: one.fact for name, one in findings.items() if one.fact}


def _compiled(pipeline: Pipeline, record: Record) -> tuple[Target | None, Verdict | None]:
    """Compile what the pods are started with, or say why the steps do not fit each other.

    Args:
        pipeline: with every model described in place.
        record: what it said and what its models were.

    """
    facts = record.resolved
    try:
        plan = compile_plan(pipeline, {name: fact.resolved for name, fact in facts.items()})
    except InvalidManifest as error:
        return None, Verdict(ConditionReason.STEPS_DO_NOT_FIT, faults(error))
    artifacts = [_artifact(one.entry, facts[one.name]) for one in pipeline.spec.models if one.entry]
    bundle = Bundle(plan, ArtifactList(artifacts=tuple(artifacts)))
    return Target(pipeline, record.model_copy(update={"plan": bundle.hash}), bundle), None


def _artifact(entry: ModelEntry, fact: Fact) -> Artifact:
    return Artifact(
        model=entry.name,
        framework=entry.framework,
        uri=entry.source.uri,
        address=fact.address,
        digest=fact.resolved.digest,
        size=fact.resolved.size,
        secret=entry.source.secret_name,
    )


def _last(seen: Observed, today: Pipeline | None) -> Target | None:
    """Give the newest version that can still be had, with as many pods as are wanted today."""
    found = next(filter(None, (_target_of(seen, one) for one in seen.versions)), None)
    if not found or not today:
        return found
    size = today.spec.deployment
    pods = {"replicas": size.replicas, "autoscaling": size.autoscaling}
    old = found.pipeline.spec
    deployment = old.deployment.model_copy(update=pods)
    spec = old.model_copy(update={"suspend": today.spec.suspend, "deployment": deployment})
    return replace(found, pipeline=found.pipeline.model_copy(update={"spec": spec}))


def _target_of(seen: Observed, version: Version) -> Target | None:
    bundle = seen.bundles.get(version.record.plan[:HASH_CHARACTERS])
    document = {**seen.document, "spec": version.record.spec}
    try:
        pipeline = with_models(read_pipeline(document), version.record.models)
    except InvalidManifest:
        return None
    if bundle:
        return Target(pipeline, version.record, bundle)
    return _compiled(pipeline, version.record)[0]


def _tables(
    seen: Observed, today: Pipeline | None, target: Target, canaries: Canaries
) -> tuple[RoutingTable, ...]:
    live = [seen.bundles[start] for start in sorted(seen.live) if start in seen.bundles]
    plans = {one.plan_hash: one.plan for one in [target.bundle, *live]}

    def before() -> Iterator[Pipeline]:
        yield target.pipeline
        for version in seen.versions:
            found = _target_of(seen, version)
            if found:
                yield found.pipeline

    said = Said(today, before, target.bundle.plan, canaries.routings)
    return tables(plans, said, seen.owner.uid, seen.tables, seen.said.values())
