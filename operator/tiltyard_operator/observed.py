"""What is judged by: a few facts out of the objects that were read. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from pydantic import ValidationError

from tiltyard_api.evidence import CanaryLedger, CanaryReport
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.experimentledger import ExperimentLedger, Heard
from tiltyard_api.figures import VariantFigures
from tiltyard_api.names import HASH_CHARACTERS
from tiltyard_api.routing import RoutingTable
from tiltyard_api.shadowledger import ShadowLedger, read_shadows
from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_operator.desired.config import (
    Bundle,
    read_bundle,
    read_experiment,
    read_ledgers,
    read_tables,
)
from tiltyard_operator.desired.history import Version, read_version
from tiltyard_operator.desired.metadata import MANAGER, PLAN_LABEL, Owner
from tiltyard_operator.kinds import Object
from tiltyard_operator.pods import Pod, observe_pod, stamp
from tiltyard_operator.trials import Attempt

ROLLOUT = "deployment.kubernetes.io/revision"
"""Annotation of a ReplicaSet: which of its Deployment's rollouts it is of."""


@dataclass(frozen=True, slots=True)
class Read:
    """Objects of one Pipeline, as the API server and the pods gave them."""

    pipeline: Object
    models: Mapping[str, Object] = field(default_factory=dict)
    """Models that it refers to, by name."""

    deployment: Object | None = None
    routing: Object | None = None
    evidence: Object | None = None
    configs: Sequence[Object] = ()
    """ConfigMaps with plans."""

    replica_sets: Sequence[Object] = ()
    pods: Sequence[Object] = ()
    revisions: Sequence[Object] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What an engine says that it serves, or since when it says nothing."""

    plan: str | None = None
    revision: int | None = None
    hash: str | None = None
    variants: Mapping[tuple[str, str], VariantFigures] = field(default_factory=dict)
    """What it counted so far, by step and variant."""

    canaries: Mapping[str, CanaryReport] = field(default_factory=dict)
    """What it counted of each canary's stage, by the names of their steps."""

    silent_since: float | None = None
    experiment: ExperimentSums | None = None
    """What feedback it took."""


@dataclass(frozen=True, slots=True)
class Workload:
    """A Deployment."""

    annotations: Mapping[str, str]
    template: Object
    settled: bool
    """Whether its controller has seen the spec that it has now."""

    wanted: int
    current: int
    updated: int
    ready: int
    available: int
    stuck: str
    """Why its controller says that it gets no further; empty: it does not say so."""

    ours: bool
    """Whether the number of replicas is a field of ours."""

    version: str
    """resourceVersion."""

    plan: str
    """Start of the hash of what its pods are started with."""


@dataclass(frozen=True, slots=True)
class Unwritten:
    """What was heard of canaries before, and need not be written down yet."""

    ledgers: Mapping[str, CanaryLedger] = field(default_factory=dict)
    pods: frozenset[str] = frozenset()
    """Who said it."""

    heard: tuple[Heard, ...] = ()
    """What engines said of the experiment."""

    spoke: Mapping[str, "Spoke"] = field(default_factory=dict)
    """What pods said of shadows, by their names."""


@dataclass(frozen=True, slots=True)
class Spoke:
    """What a pod said of the variants of its plan."""

    plan: str
    said: Mapping[tuple[str, str], VariantFigures]


@dataclass(frozen=True, slots=True)
class Observed:
    """A Pipeline and what there is of it."""

    owner: Owner
    generation: int
    document: Object
    """The Pipeline as it was read: its spec may be anything."""

    previous: PipelineStatus
    models: Mapping[str, Object]
    workload: Workload | None
    tables: tuple[RoutingTable, ...]
    routed_at: float
    """When the routing tables were last written; 0: never."""

    ledgers: Mapping[str, CanaryLedger]
    """What was kept of what engines counted, by the names of canaries."""

    kept_at: float
    """When that was last written; 0: never."""

    bundles: Mapping[str, Bundle]
    """Plans that there are, by the starts of their hashes."""

    live: frozenset[str]
    """Starts of the hashes of plans that pods are, or may be, started with."""

    versions: tuple[Version, ...]
    """Newest first."""

    pods: tuple[Pod, ...]
    said: Mapping[str, Answer] = field(default_factory=dict)
    """What the pods that serve answered, by their names."""

    trials: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict)
    """Resolve Jobs by the keys of what they try."""

    unwritten: Unwritten = Unwritten()
    experiment: ExperimentLedger | None = None
    """What was kept of what feedback came to."""

    shadows: ShadowLedger | None = None
    """What was kept of what challengers did."""


def observe(read: Read) -> Observed:
    """Take the facts out of what was read."""
    head = read.pipeline["metadata"]
    bundles = {
        bundle.hash[:HASH_CHARACTERS]: bundle for bundle in map(read_bundle, read.configs) if bundle
    }
    versions = [version for version in map(read_version, read.revisions) if version]
    return Observed(
        owner=Owner.of(read.pipeline),
        generation=head.get("generation", 0),
        document=read.pipeline,
        previous=previous_status(read.pipeline),
        models=read.models,
        workload=observe_workload(read.deployment),
        tables=read_tables(read.routing),
        routed_at=_last_applied(read.routing),
        ledgers=read_ledgers(read.evidence),
        kept_at=_last_applied(read.evidence),
        experiment=read_experiment(read.evidence),
        shadows=read_shadows(read.evidence),
        bundles=bundles,
        live=frozenset(_live_plans(read)),
        versions=tuple(sorted(versions, key=lambda one: -one.number)),
        pods=tuple(map(observe_pod, read.pods)),
    )


def previous_status(pipeline: Object) -> PipelineStatus:
    """Status as it was written last; an empty one where it makes no sense."""
    try:
        text = json.dumps(pipeline.get("status") or {})
        return PipelineStatus.model_validate_json(text)
    except ValidationError:
        return PipelineStatus()


def observe_workload(obj: Object | None) -> Workload | None:
    """Take the facts out of a Deployment."""
    if obj is None:
        return None
    spec, status = obj["spec"], obj.get("status") or {}
    head = obj["metadata"]
    template = spec["template"]
    return Workload(
        annotations=head.get("annotations") or {},
        template=template,
        settled=status.get("observedGeneration", -1) >= head.get("generation", 0),
        wanted=spec.get("replicas", 1),
        current=status.get("replicas", 0),
        updated=status.get("updatedReplicas", 0),
        ready=status.get("readyReplicas", 0),
        available=status.get("availableReplicas", 0),
        stuck=next(_complaints(status.get("conditions") or ()), ""),
        ours=any("f:replicas" in one.get("f:spec", {}) for one in _our_fields(obj)),
        version=head.get("resourceVersion", ""),
        plan=(template["metadata"].get("labels") or {}).get(PLAN_LABEL, ""),
    )


def read_answer(said: Object, pipeline: str) -> Answer:
    """Take the facts out of what an engine says of itself."""
    for one in said.get("pipelines") or ():
        if one.get("name") == pipeline:
            routing = one.get("routing") or {}
            return Answer(
                one.get("plan"),
                routing.get("revision"),
                routing.get("hash"),
                dict(_figures(one.get("steps") or ())),
                dict(_reports(one.get("steps") or ())),
                experiment=_experiment(one.get("experiment")),
            )
    return Answer()


def _figures(steps: Sequence[Object]) -> Iterator[tuple[tuple[str, str], VariantFigures]]:
    """What an engine counted of variants; what makes no sense was not said."""
    for step in steps:
        for variant, said in (step.get("variants") or {}).items():
            with suppress(ValidationError):
                figures = VariantFigures.model_validate_json(json.dumps(said))
                yield (step["name"], variant), figures


def _reports(steps: Sequence[Object]) -> Iterator[tuple[str, CanaryReport]]:
    """What an engine counted of canaries; what makes no sense was not said."""
    for step in steps:
        with suppress(ValidationError):
            if step.get("canary"):
                yield step["name"], CanaryReport.model_validate_json(json.dumps(step["canary"]))


def _experiment(said: object) -> ExperimentSums | None:
    """What an engine says of feedback; what makes no sense was not said."""
    with suppress(ValidationError):
        return ExperimentSums.model_validate_json(json.dumps(said)) if said else None
    return None


def _complaints(conditions: Sequence[Object]) -> Iterator[str]:
    for one in conditions:
        if one["type"] == "ReplicaFailure" and one["status"] == "True":
            yield f"pods cannot be created: {one.get('message', '')}"
        if one["type"] == "Progressing" and one.get("reason") == "ProgressDeadlineExceeded":
            yield "new pods did not get ready in time: see their logs"


def _our_fields(obj: Object) -> Iterator[Object]:
    for one in obj["metadata"].get("managedFields") or ():
        if one.get("manager") == MANAGER and not one.get("subresource"):
            yield one.get("fieldsV1") or {}


def _last_applied(obj: Object | None) -> float:
    entries = obj["metadata"].get("managedFields") or () if obj else ()
    times = [one["time"] for one in entries if one.get("manager") == MANAGER and one.get("time")]
    return max(map(stamp, times), default=0.0)


def _live_plans(read: Read) -> Iterator[str]:
    """Plans of ReplicaSets that have pods, of the newest, and of pods that still end."""
    sets = sorted(read.replica_sets, key=_rollout)
    for index, one in enumerate(reversed(sets)):
        if index == 0 or one["spec"].get("replicas") or (one.get("status") or {}).get("replicas"):
            yield from _plans_of(one["spec"]["template"])
    for pod in read.pods:
        yield from _plans_of(pod)
    if read.deployment:
        yield from _plans_of(read.deployment["spec"]["template"])


def _plans_of(pod: Object) -> Iterator[str]:
    plan = (pod["metadata"].get("labels") or {}).get(PLAN_LABEL)
    if plan:
        yield plan


def _rollout(replica_set: Object) -> int:
    number = (replica_set["metadata"].get("annotations") or {}).get(ROLLOUT, "0")
    return int(number) if number.isdecimal() else 0
