"""Whose an object of one of our names is. Pure."""

from enum import Enum, auto

from tiltyard_api.names import GROUP
from tiltyard_operator.desired.metadata import APPLIED, Owner
from tiltyard_operator.kinds import Object


class Whose(Enum):
    """Who may say what an object is."""

    OURS = auto()
    """Its owner's, or nobody's any more: then it was, before somebody took the reference away."""

    PREDECESSOR = auto()
    """Of an object of the same name that was deleted: Kubernetes is about to delete this too."""

    FOREIGN = auto()
    """Somebody else's, never to be touched."""


def whose(obj: Object, owner: Owner) -> Whose:
    """Say whose an object is."""
    head = obj["metadata"]
    references = head.get("ownerReferences") or ()
    controller = next((one for one in references if one.get("controller")), None)
    if any(one["uid"] == owner.uid for one in references):
        return Whose.OURS
    if controller is None:
        return Whose.OURS if APPLIED in (head.get("annotations") or {}) else Whose.FOREIGN
    named = (controller["kind"], controller["name"]) == (owner.kind, owner.name)
    ours = controller["apiVersion"].startswith(f"{GROUP}/")
    return Whose.PREDECESSOR if named and ours else Whose.FOREIGN
