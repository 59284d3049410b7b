"""What a Pipeline has come to, without what differs from run to run."""

import itertools
import json
import re
from typing import Any

from kubectl import Kubectl

Object = dict[str, Any]

KINDS = (
    "configmaps",
    "controllerrevisions",
    "deployments",
    "horizontalpodautoscalers",
    "jobs",
    "networkpolicies",
    "poddisruptionbudgets",
    "rolebindings",
    "roles",
    "serviceaccounts",
    "services",
)
"""Everything that an operator may make."""

_PASSING = {
    "creationTimestamp",
    "generation",
    "lastTransitionTime",
    "managedFields",
    "observedAt",
    "resourceVersion",
    "uid",
    "clusterIP",
    "clusterIPs",
}
"""Fields that differ from run to run and say nothing of what was reached."""

_OF_OTHERS = {"deployment.kubernetes.io/revision", "status"}
"""What other controllers write into our objects."""

_REVISION = re.compile(r'(\\?"revision\\?": ?)\d+')
_CODES = re.compile(r"\b(?:[0-9a-f]{10,64}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\b")


def owned(kubectl: Kubectl, name: str) -> list[Object]:
    """Everything that carries our label and the Pipeline's name, whoever owns it."""
    labels = f"app.kubernetes.io/managed-by=tiltyard,app.kubernetes.io/instance={name}"
    return list(kubectl.get(",".join(KINDS), f"--selector={labels}")["items"])


def snapshot(kubectl: Kubectl, name: str) -> dict[str, str]:
    """Give each owned object, and the status, as text that is the same whenever they are alike.

    Hashes follow from the Pipeline's uid, so each is replaced by a number: the same hash by the
    same number, wherever it stands. Left out is what depends on how often the Pipeline was changed
    before: revisions of the past, the number of the routing table, the number of the generation.
    """
    pipeline = kubectl.get("pipeline", name)
    generation = pipeline["metadata"]["generation"]
    objects = [one for one in owned(kubectl, name) if one["kind"] != "ControllerRevision"]
    objects.sort(key=lambda one: (one["kind"], _CODES.sub("", one["metadata"]["name"])))
    newest = max(
        (one for one in owned(kubectl, name) if one["kind"] == "ControllerRevision"),
        key=lambda one: int(one["revision"]),
    )
    numbers = (f"<{number}>" for number in itertools.count(1))
    known: dict[str, str] = {}

    def text_of(value: Object) -> str:
        text = json.dumps(_lasting(value), indent=1, sort_keys=True)
        text = text.replace(kubectl.namespace, "NAMESPACE")
        text = text.replace(
            f'"observedGeneration": {generation}', '"observedGeneration": "current"'
        )
        return _REVISION.sub(r"\1N", text)

    def number_of(found: re.Match[str]) -> str:
        if found[0] not in known:
            known[found[0]] = next(numbers)
        return known[found[0]]

    found = {}
    for one in [*objects, newest]:
        one.pop("revision", None)
        text = _CODES.sub(number_of, text_of(one))
        key = f"{one['kind']} {_CODES.sub(number_of, one['metadata']['name'])}"
        assert key not in found, f"{key} is there twice"
        found[key] = text
    return found | {"status": _CODES.sub(number_of, text_of(pipeline["status"]))}


def _lasting(value: Any) -> Any:
    """Leave out what passes, and what others wrote."""
    if isinstance(value, dict):
        ours = "kind" not in value or "metadata" not in value
        left_out = _PASSING | (set() if ours else _OF_OTHERS)
        return {
            key: _lasting(one)
            for key, one in value.items()
            if key not in left_out and key not in _OF_OTHERS - {"status"}
        }
    if isinstance(value, list):
        return [_lasting(one) for one in value]
    return value
