"""Back to an earlier version of a pipeline: its spec, the very bytes, and today's weights."""

from copy import deepcopy
from typing import Any

from tiltyard.failure import EntityNotFoundError
from tiltyard.places import Revision

Spec = dict[str, Any]


def chosen(revisions: "list[Revision]", name: str, to: int | None, plan: str | None) -> Revision:
    """Find the version to go back to.

    Args:
        revisions: what there is, newest last.
        name: the pipeline's.
        to: its number; None: the one before what is wanted now.
        plan: hash of the plan that is wanted now, where it is known.

    Raises:
        EntityNotFoundError: there is no such version.

    """
    numbers = ", ".join(str(one.number) for one in revisions) or "none"
    if to is None:
        others = [one for one in revisions if one.plan != plan]
        if not others or (plan is None and len(others) < 2):
            raise EntityNotFoundError(f"{name} has no earlier version (there: {numbers})")
        return others[-1] if plan else others[-2]
    for one in revisions:
        if one.number == to:
            return one
    raise EntityNotFoundError(f"{name} has no version {to} (there: {numbers})")


def rolled_back(revision: Revision, today: Spec) -> Spec:
    """Give the spec of a version with its models pinned and the weights of today.

    Args:
        revision: the version.
        today: the spec that is there now: its weights and how large it is stay.

    """
    spec = deepcopy(revision.spec)
    spec["models"] = [_pinned(one, revision) for one in spec["models"]]
    weights = {
        step["name"]: step["split"]["variants"] for step in today["steps"] if "split" in step
    }
    for step in spec["steps"]:
        if "split" not in step:
            continue
        now = {one["model"]: one["weight"] for one in weights.get(step["name"], ())}
        variants = step["split"]["variants"]
        if now.keys() == {one["model"] for one in variants}:
            for one in variants:
                one["weight"] = now[one["model"]]
    spec.pop("suspend", None)
    return spec | deepcopy({key: today[key] for key in ("deployment",) if key in today})


def _pinned(listed: Spec, revision: Revision) -> Spec:
    """Describe a model in place, by the bytes that it was."""
    name = listed["name"]
    if "modelRef" in listed:
        listed = {"name": name} | deepcopy(revision.shared[listed["modelRef"]["name"]])
    source = dict(listed["source"])
    if name in revision.addresses:
        source["uri"] = revision.addresses[name]
    if name in revision.digests:
        source["sha256"] = revision.digests[name]
    return listed | {"source": source}
