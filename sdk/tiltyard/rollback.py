"""Back to an earlier version of a pipeline: its spec, the very bytes, and today's weights."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from tiltyard.failure import EntityNotFoundError
from tiltyard.places import Revision

Spec = dict[str, Any]


def chosen(revisions: Sequence[Revision], name: str, to: int | None, today: Spec) -> Revision:
    """Find the version to go back to.

    Args:
        revisions: what there is, newest last.
        name: the pipeline's.
        to: its number; None: the newest that is not what is wanted today.
        today: the spec that is there now.

    Raises:
        EntityNotFoundError: there is no such version.

    """
    numbers = ", ".join(str(one.number) for one in revisions) or "none"
    for one in reversed(revisions):
        if one.number == to or (to is None and not is_wanted(one, today)):
            return one
    which = "earlier version" if to is None else f"version {to}"
    raise EntityNotFoundError(f"{name} has no {which} (there: {numbers})")


def is_wanted(revision: Revision, today: Spec) -> bool:
    """Whether a spec asks for what a version ran: the same steps and bytes, of any weights."""
    return _ran(revision.spec, revision) == _ran(today, revision)


def _ran(spec: Spec, revision: Revision) -> list[Spec]:
    models = [_pinned(one, revision) for one in spec["models"]]
    bytes_only = [one | {"source": one["source"].get("sha256")} for one in models]
    steps = deepcopy(spec["steps"])
    for step in steps:
        for variant in step.get("split", {}).get("variants", ()):
            variant["weight"] = 0
    return [*bytes_only, *steps]


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
    """Describe a model in place, by the bytes that it was; bytes that it names itself stay."""
    name = listed["name"]
    if "modelRef" in listed:
        shared = revision.shared.get(listed["modelRef"]["name"], {"source": listed["modelRef"]})
        listed = {"name": name} | deepcopy(dict(shared))
    source = dict(listed["source"])
    known = revision.digests.get(name)
    if known and source.get("sha256", known) == known:
        source["sha256"] = known
        source["uri"] = revision.addresses.get(name, source.get("uri"))
    return listed | {"source": source}
