"""Names, labels and owner of what we make."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from tiltyard_api.names import API_VERSION, GROUP, HASH_CHARACTERS
from tiltyard_operator.kinds import Kind, Object

MANAGER = "tiltyard-operator"
"""Field manager: owner of every field that we apply."""

MANAGED_BY = {"app.kubernetes.io/managed-by": "tiltyard"}
"""Label of everything that is ours: what kopf watches by."""

INSTANCE = "app.kubernetes.io/instance"
"""Label: name of the Pipeline or Model that an object belongs to."""

ENGINE = "tiltyard-engine"
RESOLVE = "tiltyard-resolve"

PLAN_LABEL = f"{GROUP}/plan"
"""On pods: which plan they were started with."""

RESOLVE_LABEL = f"{GROUP}/resolve"
"""On resolve Jobs and their pods: the start of the key of what they try."""

APPLIED = f"{GROUP}/applied"
"""Annotation: hash of what we applied last. A field that we no longer want is found by it."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The Pipeline or Model that an object belongs to."""

    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, obj: Object) -> Self:
        """Take a Pipeline or Model, as it was read, for an owner."""
        metadata = obj["metadata"]
        return cls(obj["kind"], metadata["namespace"], metadata["name"], metadata["uid"])

    @property
    def reference(self) -> Object:
        """Owner reference, by which Kubernetes deletes the object after its owner.

        Deleting the owner in the foreground must not wait for us, so nothing is blocked.
        """
        return {
            "apiVersion": API_VERSION,
            "kind": self.kind,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }


def selector(instance: str) -> dict[str, str]:
    """Labels that the engine pods of a Pipeline have and no others do."""
    return {"app.kubernetes.io/name": ENGINE, INSTANCE: instance, **MANAGED_BY}


def query(wanted: Mapping[str, str]) -> str:
    """Write labels as a query of the API server spells them."""
    return ",".join(f"{label}={value}" for label, value in wanted.items())


def labels(instance: str, component: str) -> dict[str, str]:
    """Labels of an object. Never the user's: tools that prune by label would take it for theirs."""
    return {
        **selector(instance),
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "tiltyard",
    }


def head(kind: Kind, owner: Owner, name: str, component: str) -> Object:
    """Start an object: what it is, what it is called and whose it is."""
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels(owner.name, component),
            "ownerReferences": [owner.reference],
        },
    }


def sealed(obj: Object) -> Object:
    """Return an object with the hash of itself among its annotations."""
    metadata = obj["metadata"]
    annotations = {**metadata.get("annotations", {}), APPLIED: fingerprint(obj)}
    return {**obj, "metadata": {**metadata, "annotations": annotations}}


def fingerprint(data: Mapping[str, object]) -> str:
    """Short hash of plain data: the same whatever the order of its keys."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def plan_name(pipeline: str, bundle_hash: str) -> str:
    """Name of the ConfigMap with a plan."""
    return f"{pipeline}-plan-{bundle_hash[:HASH_CHARACTERS]}"


def routing_name(pipeline: str) -> str:
    """Name of the ConfigMap with the routing tables."""
    return f"{pipeline}-routing"


def evidence_name(pipeline: str) -> str:
    """Name of the ConfigMap with what was counted of canaries."""
    return f"{pipeline}-evidence"


def resolve_name(owner: str, key: str) -> str:
    """Name of the Job that tries a model."""
    return f"{owner}-r-{key[:HASH_CHARACTERS]}"


def revision_name(pipeline: str, content: str) -> str:
    """Name of the ControllerRevision with a version."""
    return f"{pipeline}-v-{content[:HASH_CHARACTERS]}"
