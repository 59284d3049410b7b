"""Keeps a Pipeline's versions: a new one when pods are made of something else."""

from tiltyard_operator.decide import Target
from tiltyard_operator.desired.history import LIMIT, revision
from tiltyard_operator.desired.workload import own_spec
from tiltyard_operator.observed import Observed
from tiltyard_operator.writing import Writer


def keep_version(writer: Writer, seen: Observed, target: Target) -> None:
    """Write down what pods are made of, with the bytes of every model, before they are."""
    number = seen.versions[0].number + 1 if seen.versions else 1
    wanted = revision(seen.owner, target.record, number, version_of(target))
    name = wanted["metadata"]["name"]
    if seen.versions and seen.versions[0].name == name:
        return
    old = next((one for one in seen.versions if one.name == name), None)
    writer.put({**wanted, "data": old.obj["data"]} if old else wanted)  # which cannot change


def prune_versions(writer: Writer, seen: Observed) -> None:
    """Let the oldest go."""
    for one in seen.versions[LIMIT:]:
        writer.remove(one.obj)


def version_of(target: Target) -> dict[str, object]:
    """What makes a version: weights, numbers of pods and suspension do not."""
    return {"spec": own_spec(target.pipeline), "plan": target.record.plan}
