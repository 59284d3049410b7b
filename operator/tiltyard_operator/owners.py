"""Whose an owned object is: which Pipeline or Model must look at it when it changes."""

import re

from tiltyard_api.names import GROUP
from tiltyard_operator.desired.metadata import INSTANCE
from tiltyard_operator.kinds import MODEL, PIPELINE, Kind, Object
from tiltyard_operator.queue import Key

DERIVED = re.compile(r"(?P<owner>.+?)(-routing|-evidence|-(plan|r|v)-[0-9a-z]{10})?")
"""Names of owned objects begin with their owner's."""

KINDS = {kind.kind: kind for kind in (PIPELINE, MODEL)}


def owners(obj: Object) -> set[Key]:
    """Everything that an object may belong to: one that does not is looked at in vain, once.

    Labels and ownerReferences may have been edited, so neither is trusted alone; the name counts
    where both are gone.
    """
    head = obj["metadata"]
    named = _referred(head) | _labelled(head)
    return {Key(kind, head["namespace"], name) for kind, name in named or _derived(head)}


def _referred(head: Object) -> set[tuple[Kind, str]]:
    return {
        (KINDS[one["kind"]], one["name"])
        for one in head.get("ownerReferences") or ()
        if one["apiVersion"].startswith(f"{GROUP}/") and one["kind"] in KINDS
    }


def _labelled(head: Object) -> set[tuple[Kind, str]]:
    name = (head.get("labels") or {}).get(INSTANCE)
    return {(PIPELINE, name)} if name else set()


def _derived(head: Object) -> set[tuple[Kind, str]]:
    found = DERIVED.fullmatch(head["name"])
    return {(PIPELINE, found["owner"])} if found else set()
