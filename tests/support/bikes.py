"""The two bike models as a Pipeline of a real API server, and what is waited for."""

import json
from pathlib import Path
from typing import Any

from kubectl import Kubectl
from manifests import MODELS, bike_document
from waiting import await_that

Object = dict[str, Any]

NAME = "bikes"

OWNED = {
    "configmap": f"{NAME}-routing",
    "deployment": NAME,
    "networkpolicy": NAME,
    "poddisruptionbudget": NAME,
    "role": NAME,
    "rolebinding": NAME,
    "service": NAME,
    "serviceaccount": NAME,
}
"""Everything that a Pipeline owns by one name."""


def bikes(weights: tuple[float, float] = (1, 1), **deployment: object) -> Object:
    """Give a Pipeline of one small pod; its models lie on this machine."""
    document = bike_document(weights, name=NAME)
    for model in document["spec"]["models"]:
        model["source"]["uri"] = file_of(model["name"])
    document["spec"]["deployment"] = {"cpus": 0.5, "memory": "1Gi", **deployment}
    return document


def file_of(model: str) -> str:
    """Source of a bike model."""
    return f"file://{MODELS / f'bike-{model}.onnx'}"


def condition(obj: Object, kind: str) -> Object:
    """Find a condition of this generation; empty where there is none."""
    for one in obj.get("status", {}).get("conditions", ()):
        current = one["observedGeneration"] == obj["metadata"]["generation"]
        if one["type"] == kind and current:
            return dict(one)
    return {}


def await_condition(
    kubectl: Kubectl,
    kind: str,
    status: str,
    reason: str,
    what: str = f"typ/{NAME}",
    *,
    seconds: float = 120,
) -> Object:
    """Wait until a condition says this of the current generation; the object as it said so."""
    seen: Object = {}

    def holds() -> bool:
        seen.clear()
        seen.update(kubectl.get(what))
        found = condition(seen, kind)
        return (found.get("status"), found.get("reason")) == (status, reason)

    try:
        await_that(holds, seconds)
    except AssertionError as error:
        told = json.dumps(seen.get("status", {}).get("conditions"), indent=1)
        raise AssertionError(f"{kind} is not {status}, {reason}; it is\n{told}") from error
    return seen


def await_ready(kubectl: Kubectl, seconds: float = 120) -> Object:
    """Wait until the Pipeline is ready."""
    return await_condition(kubectl, "Ready", "True", "Serving", seconds=seconds)


def writes(audit_log: Path, namespace: str, user: str = "tiltyard-operator") -> list[str]:
    """Every write of the operator in a namespace but that of its Lease, as `verb resource`."""
    found = []
    for line in audit_log.read_text().splitlines():
        one = json.loads(line)
        about = one["objectRef"]
        ours = user in one["user"]["username"] and about.get("namespace") == namespace
        if ours and about["resource"] != "leases":
            found.append(f"{one['verb']} {about['resource']}/{about.get('name', '')}")
    return found
