"""What an API server and pods would show of a Pipeline: raw objects for the pure half's tests."""

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tiltyard_api.artifacts import TrialReport
from tiltyard_api.base import canonical
from tiltyard_api.figures import Histogram, VariantFigures
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.names import HASH_CHARACTERS
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_operator.decide import Decision, accept, decide
from tiltyard_operator.desired import Wanted, build
from tiltyard_operator.desired.history import revision
from tiltyard_operator.desired.metadata import PLAN_LABEL, Owner
from tiltyard_operator.desired.resolving import KEY, resolve_key
from tiltyard_operator.desired.workload import Cause
from tiltyard_operator.observed import Answer, Observed, Read, Unwritten, observe
from tiltyard_operator.settings import Settings, read
from tiltyard_operator.trials import observe_attempts
from tiltyard_operator.versions import version_of

Object = dict[str, Any]

UID = "6f1c0d52-7a43-4a0e-9d3e-1f2a3b4c5d6e"
NOW = 1_800_000_000.0
STAMP = "2027-01-15T08:00:00Z"
"""The same moment as Kubernetes writes it."""

SETTINGS: Settings = read(
    {
        "TILTYARD_ENGINE_IMAGE": "tiltyard/engine:1",
        "POD_NAME": "tiltyard-0",
        "POD_NAMESPACE": "tiltyard",
    }
)


def as_stored(document: Object, generation: int = 1, **changes: Any) -> Object:
    """Give a manifest as the API server has it."""
    metadata = {"namespace": "default", "uid": UID, "generation": generation}
    stored = copy.deepcopy(document)
    stored["metadata"] = metadata | stored["metadata"]
    return stored | changes


def reported(
    document: Object, facts: Mapping[str, ResolvedModel | tuple[ConditionReason, str]]
) -> tuple[list[Object], list[Object]]:
    """Give the finished Jobs, and their pods, of trials that found these facts or failed."""
    jobs: list[Object] = []
    pods: list[Object] = []
    if not facts:
        return jobs, pods
    for listed in read_pipeline(document).spec.models:
        found = facts.get(listed.name)
        if found is None or listed.entry is None:
            continue
        key, uid = resolve_key(listed.entry), f"job-{listed.name}"
        report = (
            TrialReport(resolved=found)
            if isinstance(found, ResolvedModel)
            else TrialReport(reason=found[0], fault=found[1])
        )
        jobs.append(job(uid, key))
        pods.append(trial_pod(uid, canonical(report).decode()))
    return jobs, pods


def job(uid: str, key: str, *, ended: bool = True, **annotations: str) -> Object:
    """Give a resolve Job of the Pipeline."""
    owner = Owner("Pipeline", "default", "prices", UID)
    done = {"type": "Complete", "status": "True", "lastTransitionTime": STAMP}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"prices-r-{key[:HASH_CHARACTERS]}",
            "namespace": "default",
            "uid": uid,
            "annotations": {KEY: key, **annotations},
            "ownerReferences": [owner.reference],
        },
        "status": {"conditions": [done] if ended else []},
    }


def trial_pod(job_uid: str, message: str) -> Object:
    """Give the pod of a finished trial."""
    terminated = {"exitCode": 0, "message": message}
    return {
        "metadata": {"name": job_uid, "ownerReferences": [{"uid": job_uid}]},
        "status": {"containerStatuses": [{"name": "fetch", "state": {"terminated": terminated}}]},
    }


def engine_pod(name: str, plan: str, **changes: Any) -> Object:
    """Give a pod that serves."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": {PLAN_LABEL: plan[:HASH_CHARACTERS]},
            "creationTimestamp": STAMP,
            **changes.pop("metadata", {}),
        },
        "status": {
            "podIP": "10.0.0.1",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": STAMP}],
            **changes.pop("status", {}),
        },
    }


def rolled_out(deployment: Object, pods: int, **status: int) -> Object:
    """Give a Deployment as its controller leaves it when all is done."""
    done = dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), pods
    )
    live = copy.deepcopy(deployment)
    live["metadata"] |= {"generation": 3, "resourceVersion": "7"}
    live["spec"].setdefault("replicas", pods)
    return live | {"status": {"observedGeneration": 3, **done, **status}}


def decided(document: Object, **read: Any) -> tuple[Observed, Decision]:
    """Observe and decide."""
    now, unwritten = read.pop("now", NOW), read.pop("unwritten", Unwritten())
    said: Mapping[str, Answer] = read.pop("said", {})
    jobs, pods = reported(document, read.pop("facts", {}))
    jobs += read.pop("running", [])
    pods += read.pop("job_pods", [])
    stored = read.pop("stored", None) or as_stored(document)
    seen = observe(Read(pipeline=stored, **read))
    trials = observe_attempts(seen.owner, jobs, pods)
    seen = replace(seen, trials=trials, said=said, unwritten=unwritten)
    return seen, decide(seen, accept(seen), now)


def objects_of(
    seen: Observed, decision: Decision, *, settings: Settings = SETTINGS
) -> list[Object]:
    """Build everything that a decision wants."""
    assert decision.target
    wanted = Wanted(
        owner=seen.owner,
        pipeline=decision.target.pipeline,
        bundle=decision.target.bundle,
        tables=decision.tables,
        replicas=decision.replicas,
        cause=Cause.SPEC,
        monitored=True,
    )
    return build(wanted, settings)


def figures(requests: int, **changes: Any) -> VariantFigures:
    """Give what an engine says of a variant each of whose requests took between 1 and 2 ms."""
    seconds = Histogram(bounds=(0.001, 0.002), counts=(0, requests, 0), sum=0.0015 * requests)
    said = {"requests": requests, "rows": requests, "errors": 0, "seconds": seconds}
    return VariantFigures.model_validate(said | changes)


def serving(
    document: Object,
    facts: Mapping[str, ResolvedModel],
    pods: int = 2,
    **read: Any,
) -> Object:
    """Give what there is to read of a Pipeline that serves, as fields of `Read`."""
    seen, decision = decided(document, facts=facts, **read)
    objects = objects_of(seen, decision)
    assert decision.target
    table = decision.tables[0]
    answer = Answer(table.plan, table.revision, table.hash, {("price", "a"): figures(3)})
    names = [f"prices-{number}" for number in range(pods)]
    target = decision.target
    version = revision(seen.owner, target.record, 1, version_of(target))
    return {
        "revisions": [version],
        "deployment": rolled_out(objects[-1], pods),
        "routing": next(one for one in objects if one["metadata"]["name"].endswith("-routing")),
        "configs": [one for one in objects if "-plan-" in one["metadata"]["name"]],
        "pods": [engine_pod(name, decision.target.bundle.hash) for name in names],
        "said": dict.fromkeys(names, answer),
    }


def plain(objects: Sequence[Object]) -> str:
    """Give objects as text that never differs where they do not."""
    return json.dumps(objects, sort_keys=True)
