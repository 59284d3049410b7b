"""Keeps a Pipeline's versions: a new one when pods are made of something else."""

from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_operator.cluster import Cluster
from tiltyard_operator.decide import Target
from tiltyard_operator.desired.history import LIMIT, revision
from tiltyard_operator.desired.workload import own_spec
from tiltyard_operator.observed import Observed


def keep_version(cluster: Cluster, seen: Observed, target: Target) -> None:
    """Write down what pods are made of, with the bytes of every model, before they are."""
    fixed = fixed_part(target.pipeline, target)
    wanted = revision(seen.owner, target.record, _number(seen) + 1, fixed)
    name = wanted["metadata"]["name"]
    if seen.versions and seen.versions[0].name == name:
        return
    old = next((one for one in seen.versions if one.name == name), None)
    cluster.apply({**wanted, "data": old.obj["data"]} if old else wanted)  # which cannot change


def prune_versions(cluster: Cluster, seen: Observed) -> None:
    """Let the oldest go."""
    for one in seen.versions[LIMIT:]:
        cluster.delete(one.obj)


def fixed_part(pipeline: Pipeline, target: Target) -> dict[str, object]:
    """What makes a version: weights, numbers of pods and suspension do not."""
    return {"spec": own_spec(pipeline), "plan": target.record.plan}


def _number(seen: Observed) -> int:
    return seen.versions[0].number if seen.versions else 0
