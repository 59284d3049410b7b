"""Leaves behind what the trial of a model leaves behind, without trying any."""

from typing import Any

from cluster.api import MERGE, Api
from tiltyard_api.artifacts import TrialReport
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_operator.desired.metadata import RESOLVE_LABEL
from tiltyard_operator.desired.resolving import KEY, resolve_key
from tiltyard_operator.kinds import JOB, POD

Object = dict[str, Any]


def plant(api: Api, namespace: str, entry: ModelEntry, found: ResolvedModel) -> None:
    """Make a Job, and its pod, that say what was found of a model."""
    key = resolve_key(entry)
    labels = {RESOLVE_LABEL: key[:10], "app.kubernetes.io/managed-by": "tiltyard"}
    container = {"name": "fetch", "image": "engine"}
    pod: Object = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    head = {"name": f"tried-{key[:10]}", "labels": labels, "annotations": {KEY: key}}
    spec = {**pod, "spec": {**pod["spec"], "restartPolicy": "Never"}}
    body = {"metadata": head, "spec": {"suspend": True, "template": spec}}
    job = api.call("POST", JOB.path(namespace), body)
    owner = {"apiVersion": JOB.api_version, "kind": JOB.kind, "name": head["name"]}
    owner["uid"] = job["metadata"]["uid"]
    about = {"name": head["name"], "labels": labels, "ownerReferences": [owner]}
    gated = {**pod["spec"], "schedulingGates": [{"name": "tiltyard.dev/never"}]}
    api.call("POST", POD.path(namespace), {"metadata": about, "spec": gated})
    ended = {"exitCode": 0, "message": TrialReport(resolved=found).written().decode()}
    said = {**container, "imageID": "", "ready": False, "restartCount": 0}
    status = {"containerStatuses": [{**said, "state": {"terminated": ended}}]}
    path = POD.path(namespace, str(head["name"]), "status")
    api.call("PATCH", path, {"status": status}, MERGE)
