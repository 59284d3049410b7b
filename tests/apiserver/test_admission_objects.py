"""What a real API server makes of good Pipelines and Models: columns, scale, status, large ones."""

import json
from datetime import UTC, datetime
from enum import EnumType
from typing import Any, Literal, get_args, get_origin

import pytest
from pydantic import BaseModel

from cluster.api import Api
from kubectl import Kubectl
from makers import SHARED, Document, make_document, make_resolved
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.pod import VALUES_FROM, Pod
from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_api.v1alpha1.volumes import VOLUMES

STRICT = ("--validate=strict", "-f", "-")


def apply(kubectl: Kubectl, document: Document) -> None:
    kubectl("apply", *STRICT, stdin=json.dumps(document))


def report(api: Api, kubectl: Kubectl, plural: str, name: str, status: Document) -> Document:
    """Write a status as the operator does, and read what was kept."""
    path = f"/apis/tiltyard.dev/v1alpha1/namespaces/{kubectl.namespace}/{plural}/{name}"
    live = api.get(path)
    assert live is not None
    api.call("PUT", f"{path}/status", live | {"status": status})
    return dict((api.get(path) or {})["status"])


def filled(model: type[BaseModel]) -> Document:
    """Give an object with a value in every field, at every depth."""
    return {
        field.alias or name: _value(field.annotation, field.alias or name)
        for name, field in model.model_fields.items()
    }


def _value(kind: Any, name: str) -> Any:
    words = isinstance(kind, EnumType)
    choices = list(kind) if words else [one for one in get_args(kind) if one is not type(None)]
    if words or get_origin(kind) is Literal:
        return choices[0]
    if get_origin(kind) is tuple:
        return [_value(choices[0], name)]
    if get_origin(kind) is dict:
        return {"team": _value(choices[1], name)}
    if get_origin(kind) is not None:  # something or nothing, or annotated
        return _value(choices[0], name)
    if issubclass(kind, BaseModel):
        return filled(kind)
    known = {"digest": "0" * 64, "lastTransitionTime": MOMENT, "observedAt": MOMENT}
    return known.get(name, {str: "a", int: 7, float: 0.5, bool: True}.get(kind, MOMENT))


MOMENT = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC).isoformat().replace("+00:00", "Z")


def test_a_status_that_says_everything_is_kept_whole(api: Api, kubectl: Kubectl) -> None:
    apply(kubectl, make_document())
    apply(kubectl, make_document(of=SHARED))
    for plural, name, model in (
        ("pipelines", "prices", PipelineStatus),
        ("models", "shared", ModelStatus),
    ):
        status = filled(model)
        assert report(api, kubectl, plural, name, status) == status
        assert set(model.model_validate(status).model_fields_set) == set(model.model_fields)


def test_facts_of_an_artifact_come_back_from_a_status_as_they_were(
    api: Api, kubectl: Kubectl
) -> None:
    resolved = make_resolved("x float32[?,4], names string[] -> y seq(map(int64,float))[?,1]")
    apply(kubectl, make_document(of=SHARED))
    told = ModelStatus().with_resolved(resolved).model_dump(mode="json", by_alias=True)
    kept = report(
        api, kubectl, "models", "shared", {k: v for k, v in told.items() if v is not None}
    )
    assert ModelStatus.model_validate(kept).resolved() == resolved
    assert kept["shortDigest"] == resolved.digest[:12]


def test_lists_show_what_people_ask_for(api: Api, kubectl: Kubectl) -> None:
    apply(kubectl, make_document())
    apply(kubectl, make_document(of=SHARED))
    ready: Document = {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "2 pods serve",
        "lastTransitionTime": MOMENT,
        "observedGeneration": 1,
    }
    status = {
        "observedGeneration": 1,
        "phase": "Running",
        "conditions": [ready],
        "replicas": 2,
        "readyReplicas": 2,
        "endpoint": "http://prices.shop:8080",
        "version": {"active": "v1"},
        "routing": {"revision": 3, "synced": "2/2"},
    }
    report(api, kubectl, "pipelines", "prices", status)
    digest = {"digest": "0" * 64, "shortDigest": "0" * 12, "size": 4096, "users": 1}
    report(api, kubectl, "models", "shared", digest | {"conditions": [ready]})
    assert table(kubectl, "typ") == {
        "NAME": "prices",
        "PHASE": "Running",
        "READY": "True",
        "REPLICAS": "2",
        "SYNCED": "2/2",
        "VERSION": "v1",
        "REASON": "Serving",
        "VERDICT": "",
        "REVISION": "3",
        "ENDPOINT": "http://prices.shop:8080",
    }
    assert table(kubectl, "tym") == {
        "NAME": "shared",
        "FRAMEWORK": "onnx",
        "DIGEST": "0" * 12,
        "SIZE": "4096",
        "READY": "True",
        "USED BY": "1",
        "REASON": "Serving",
        "VERSION": "",
    }
    assert len(kubectl("get", "tiltyard", "-o", "name").split()) == 2


def table(kubectl: Kubectl, kind: str) -> dict[str, str]:
    """The only row of a wide list without its age, by the columns' titles."""
    title, row = kubectl("get", kind, "-o", "wide").splitlines()
    starts = [index for index in range(len(title)) if _starts(title, index)]
    ends = [*starts[1:], len(row) + len(title)]
    cells = {
        title[start:end].strip(): row[start:end].strip()
        for start, end in zip(starts, ends, strict=True)
    }
    assert cells.pop("AGE").endswith("s")
    return cells


def _starts(title: str, index: int) -> bool:
    """Whether a column begins here: behind three blanks, since one may stand within a title."""
    return title[index] != " " and title[max(index - 3, 0) : index].strip() == ""


def test_a_new_object_is_waited_for_from_the_first_moment_on(kubectl: Kubectl) -> None:
    apply(kubectl, make_document())
    apply(kubectl, make_document(of=SHARED))
    for name in ("pipeline/prices", "model/shared"):
        assert kubectl.get(name)["status"] == {"observedGeneration": -1}
        waited = kubectl.run("wait", "--for=condition=Ready", name, "--timeout=1s")
        assert "timed out waiting for the condition" in waited.stderr


def test_a_pipeline_can_be_scaled_where_nothing_was_said(kubectl: Kubectl) -> None:
    apply(kubectl, make_document(remove=["spec.deployment"]))
    kubectl("scale", "pipeline/prices", "--replicas=3")
    assert kubectl.get("typ/prices")["spec"]["deployment"] == {
        "cpus": 1,
        "memory": "1Gi",
        "replicas": 3,
    }


def test_a_pipeline_that_scales_by_itself_is_not_scaled_by_hand(kubectl: Kubectl) -> None:
    apply(kubectl, make_document({"spec.deployment": {"autoscaling": {"min": 1, "max": 3}}}))
    refused = kubectl.run("scale", "pipeline/prices", "--replicas=3")
    assert "keep replicas or autoscaling" in refused.stderr


def test_every_field_of_a_pod_is_one_of_kubernetes(kubectl: Kubectl) -> None:
    """A pod override that says everything is admitted, and a Deployment takes it as it is."""
    pod = whole_pod()
    document = make_document({"spec.deployment.pod": pod})
    assert read_pipeline(document).spec.deployment.pod
    apply(kubectl, document)
    stored = kubectl.get("typ/prices")["spec"]["deployment"]["pod"]
    assert stored == pod
    metadata = {"labels": pod.pop("labels"), "annotations": pod.pop("annotations")}
    container = {"name": "a", "image": "a", "env": pod.pop("env")}
    container["volumeMounts"] = pod.pop("volumeMounts")
    template = {"metadata": metadata, "spec": {**pod, "containers": [container]}}
    deployment: Document = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "a"},
        "spec": {"selector": {"matchLabels": metadata["labels"]}, "template": template},
    }
    kubectl("apply", "--dry-run=server", *STRICT, stdin=json.dumps(deployment))


def whole_pod() -> Document:
    """Give an override with every field that there is; of choices, one each."""
    pod = filled(Pod)
    pod |= {
        "volumeMounts": [{"name": "v0", "mountPath": "/mnt/a", "subPath": "a", "readOnly": True}]
    }
    volume, variable = pod["volumes"][0], pod["env"][0]
    volume["emptyDir"] |= {"sizeLimit": "1Mi"}
    volume["configMap"]["defaultMode"] = volume["secret"]["defaultMode"] = 0o444
    sources = volume["projected"]["sources"][0]
    sources["serviceAccountToken"] |= {"expirationSeconds": 600, "path": "token"}
    sources["secret"]["items"][0]["path"] = "key"
    volume["projected"]["sources"] = [{kind: value} for kind, value in sources.items()]
    pod["volumes"] = [
        {"name": f"v{index}", kind: volume[kind]} for index, kind in enumerate(VOLUMES)
    ]
    variable["valueFrom"]["fieldRef"] = {"fieldPath": "metadata.name"}
    pod["env"] = [
        {"name": f"V{index}", "valueFrom": {kind: variable["valueFrom"][kind]}}
        for index, kind in enumerate(VALUES_FROM)
    ]
    pod["env"].append({"name": "PLAIN", "value": "a"})
    pod["tolerations"][0] |= {"operator": "Exists", "effect": "NoExecute"}
    del pod["tolerations"][0]["value"]
    return pod


@pytest.mark.parametrize("letter", ["a", "z"])
def test_the_largest_pipeline_that_the_schema_allows_is_affordable(
    kubectl: Kubectl, letter: str
) -> None:
    """The API server bounds what rules may cost when they run; the worst case must fit."""
    models = [f"{letter * 37}-{index:02}" for index in range(32)]
    steps = [f"{letter * 37}-{index:02}" for index in range(16)]
    inputs = {f"{index:03}{letter * 61}": f"{steps[0]}.{'y' * 80}" for index in range(256)}
    step = {
        "inputs": inputs,
        "split": {"variants": [{"model": one, "weight": 1} for one in models[16:]]},
    }
    document = make_document(
        {
            "spec.models": [_largest_model(name) for name in models],
            "spec.steps": [
                {"name": steps[0], "split": step["split"]},
                *({"name": name, **step} for name in steps[1:]),
            ],
            "spec.deployment.memory": "1Ti",
        }
    )
    assert len(read_pipeline(document).spec.models) == 32
    done = kubectl.run("create", "--dry-run=server", *STRICT, stdin=json.dumps(document))
    assert done.returncode == 0, done.stderr[:2000]


def _largest_model(name: str) -> Document:
    signature = [{"name": f"{index}", "type": "float32"} for index in range(100)]
    return {
        "name": name,
        "framework": "python",
        "source": {"uri": "file:" + "x" * 2000},
        "inputs": signature,
        "outputs": signature,
        "memory": "512Mi",
        "workers": 1,
    }
