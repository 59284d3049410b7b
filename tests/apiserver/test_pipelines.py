"""Pipelines on a real API server: everything owned appears, is kept so, and the status is true."""

import json
import time
import urllib.request
from typing import Any

import pytest

from bikes import NAME, OWNED, await_condition, await_ready, bikes, condition, file_of, writes
from cluster.plane import ControlPlane
from kubectl import Kubectl
from manifests import bike_record
from pods import engines
from waiting import await_that

Object = dict[str, Any]

REST_SECONDS = 8.0

pytestmark = pytest.mark.usefixtures("local_node", "operator_process")


def children(kubectl: Kubectl) -> dict[str, Object]:
    """What the Pipeline owns under one name, as far as it is there."""
    found = {}
    for kind, name in OWNED.items():
        done = kubectl.run("get", kind, name, "--output=json")
        if done.returncode == 0:
            found[kind] = json.loads(done.stdout)
    return found


def ask(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def patch(kubectl: Kubectl, kind: str, name: str, *operations: Object) -> None:
    kubectl("patch", kind, name, "--type=json", f"--patch={json.dumps(operations)}")


def test_a_pipeline_gets_ready_answers_and_then_nothing_is_written(
    kubectl: Kubectl, control_plane: ControlPlane, namespace: str
) -> None:
    kubectl.apply(bikes(replicas=2))
    kubectl("wait", "--for=condition=Ready", f"typ/{NAME}", "--timeout=120s")
    pipeline = kubectl.get("typ", NAME)
    for kind, child in children(kubectl).items():
        owners = [one["uid"] for one in child["metadata"]["ownerReferences"]]
        assert owners == [pipeline["metadata"]["uid"]], kind
    assert set(children(kubectl)) == set(OWNED)
    status = pipeline["status"]
    assert status["phase"] == "Running"
    assert status["routing"]["synced"] == "2/2"
    for pod in engines(kubectl):
        address = pod["status"]["podIP"]
        (answer,) = ask(f"http://{address}:8080/pipelines/{NAME}", [bike_record()])
        assert set(answer["metadata"]) >= {"inference_id", "variants"}
        told = ask(f"http://{address}:9090/status")["pipelines"][0]
        assert told["plan"] == status["version"]["hash"]
        assert told["routing"]["hash"] == status["routing"]["hash"]
    before = writes(control_plane.audit_log, namespace)
    time.sleep(REST_SECONDS)
    assert writes(control_plane.audit_log, namespace) == before


def test_whatever_others_do_to_what_is_owned_is_put_back(kubectl: Kubectl) -> None:
    kubectl.apply(bikes())
    await_ready(kubectl)
    before = {kind: one["metadata"]["uid"] for kind, one in children(kubectl).items()}
    for kind, name in OWNED.items():
        if kind != "deployment":
            kubectl("delete", kind, name, "--wait=false")
    await_that(lambda: children(kubectl).keys() == OWNED.keys())
    there = children(kubectl)
    assert {kind for kind, uid in before.items() if there[kind]["metadata"]["uid"] == uid} == {
        "deployment"
    }
    stripped: Object = {"op": "remove", "path": "/metadata/labels"}
    orphaned: Object = {"op": "remove", "path": "/metadata/ownerReferences"}
    for kind, name in OWNED.items():
        patch(kubectl, kind, name, stripped)
        await_that(lambda kind=kind, name=name: "labels" in kubectl.get(kind, name)["metadata"])
        patch(kubectl, kind, name, orphaned)
        await_that(
            lambda kind=kind, name=name: "ownerReferences" in kubectl.get(kind, name)["metadata"]
        )
    verbs: Object = {"op": "replace", "path": "/rules/0/verbs", "value": ["*"]}
    image = "/spec/template/spec/containers/0/image"
    patch(kubectl, "role", NAME, verbs)
    patch(kubectl, "deployment", NAME, {"op": "replace", "path": image, "value": "other:1"})
    await_that(lambda: kubectl.get("role", NAME)["rules"][0]["verbs"] == ["get", "list", "watch"])
    await_that(
        lambda: (
            "engine"
            in kubectl.get("deployment", NAME)["spec"]["template"]["spec"]["containers"][0]["image"]
        )
    )
    await_ready(kubectl)
    told = kubectl("get", "events", "--field-selector=reason=DriftRepaired")
    assert "put back" in told


def test_fields_of_others_are_left_to_them(
    kubectl: Kubectl, control_plane: ControlPlane, namespace: str
) -> None:
    kubectl.apply(bikes())
    await_ready(kubectl)
    kubectl("label", "deployment", NAME, "argocd.argoproj.io/instance=shop")
    kubectl("annotate", "service", NAME, "example.com/note=theirs")
    time.sleep(1)
    before = writes(control_plane.audit_log, namespace)
    time.sleep(REST_SECONDS / 2)
    assert writes(control_plane.audit_log, namespace) == before
    assert "argocd.argoproj.io/instance" in kubectl.get("deployment", NAME)["metadata"]["labels"]


def test_an_object_of_somebody_else_is_left_alone(kubectl: Kubectl) -> None:
    ports = [{"port": 80}]
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": NAME},
            "spec": {"selector": {"app": "theirs"}, "ports": ports},
        }
    )
    theirs = kubectl.get("service", NAME)
    kubectl.apply(bikes())
    pipeline = await_condition(kubectl, "Stalled", "True", "NameTaken")
    assert f"Service {NAME}" in condition(pipeline, "Stalled")["message"]
    assert kubectl.get("service", NAME) == theirs
    assert set(children(kubectl)) == {"service"}
    kubectl("delete", "service", NAME)
    await_ready(kubectl)


def test_what_a_quota_forbids_is_named_while_all_else_is_made(kubectl: Kubectl) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "no-services"},
        "spec": {"hard": {"count/services": "0"}},
    }
    kubectl.apply(quota)
    await_that(lambda: "used" in kubectl.get("quota", "no-services").get("status", {}))
    kubectl.apply(bikes())
    stalled = await_condition(kubectl, "Stalled", "True", "ApplyRefused")
    message = condition(stalled, "Ready")["message"]
    assert message.startswith(f"Service {NAME}: ")
    assert "no-services" in message
    await_that(lambda: set(children(kubectl)) == set(OWNED) - {"service"})
    kubectl("delete", "quota", "no-services")
    await_ready(kubectl)
    assert "service" in children(kubectl)


def test_new_weights_start_no_pod_anew(kubectl: Kubectl) -> None:
    kubectl.apply(bikes((1, 1)))
    before = await_ready(kubectl)
    (pod,) = engines(kubectl)
    generation = kubectl.get("deployment", NAME)["metadata"]["generation"]
    kubectl.apply(bikes((1, 4)))
    after = await_ready(kubectl)
    assert after["status"]["routing"]["revision"] == before["status"]["routing"]["revision"] + 1
    assert after["status"]["version"] == before["status"]["version"]
    shares = [one["effective"] for one in after["status"]["steps"][0]["variants"]]
    assert shares == [0.2, 0.8]
    assert kubectl.get("deployment", NAME)["metadata"]["generation"] == generation
    (same,) = engines(kubectl)
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]


def test_a_bad_model_or_spec_leaves_what_serves_and_is_mended_by_the_next(
    kubectl: Kubectl,
) -> None:
    kubectl.apply(bikes())
    before = await_ready(kubectl)
    (pod,) = engines(kubectl)
    bad = bikes(cpus=0.25)
    bad["spec"]["models"][0]["source"]["sha256"] = "0" * 64
    kubectl.apply(bad)
    stalled = await_condition(kubectl, "Stalled", "True", "DigestMismatch")
    assert condition(stalled, "Available")["status"] == "True"
    assert "model gb" in condition(stalled, "Ready")["message"]
    kubectl("delete", "service", NAME)
    await_that(lambda: "service" in children(kubectl))
    kubectl.apply(bikes())
    after = await_ready(kubectl)
    (same,) = engines(kubectl)
    assert same["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["version"] == before["status"]["version"]


def test_pods_are_scaled_suspended_and_brought_back(kubectl: Kubectl) -> None:
    kubectl.apply(bikes())
    await_ready(kubectl)
    kubectl("scale", "typ", NAME, "--replicas=2")
    assert await_ready(kubectl)["status"]["readyReplicas"] == 2
    kubectl("patch", "typ", NAME, "--type=merge", '--patch={"spec": {"suspend": true}}')
    await_that(lambda: not engines(kubectl))
    suspended = await_condition(kubectl, "Ready", "False", "Suspended")
    assert suspended["status"]["phase"] == "Suspended"
    await_that(lambda: not condition(kubectl.get("typ", NAME), "Reconciling"))
    kubectl("patch", "typ", NAME, "--type=merge", '--patch={"spec": {"suspend": false}}')
    assert await_ready(kubectl)["status"]["readyReplicas"] == 2


def test_an_autoscaler_takes_the_number_over_as_it_is(kubectl: Kubectl) -> None:
    kubectl.apply(bikes(replicas=2))
    await_ready(kubectl)
    generation = kubectl.get("deployment", NAME)["metadata"]["generation"]
    kubectl.apply(bikes(autoscaling={"min": 1, "max": 5}))
    await_that(lambda: kubectl.run("get", "hpa", NAME).returncode == 0)
    await_ready(kubectl)
    deployment = kubectl.get("deployment", NAME)
    assert deployment["spec"]["replicas"] == 2
    assert deployment["metadata"]["generation"] == generation
    kubectl("scale", "deployment", NAME, "--replicas=3")
    kubectl("delete", "service", NAME)
    await_that(lambda: "service" in children(kubectl))
    assert kubectl.get("deployment", NAME)["spec"]["replicas"] == 3
    kubectl.apply(bikes(replicas=1))
    await_that(lambda: kubectl.run("get", "hpa", NAME).returncode != 0)
    await_that(lambda: kubectl.get("deployment", NAME)["spec"]["replicas"] == 1)


def test_a_deleted_pipeline_leaves_nothing_and_its_successor_is_another(kubectl: Kubectl) -> None:
    kubectl.apply(bikes())
    before = await_ready(kubectl)
    kubectl("delete", "typ", NAME, "--wait=false")
    kubectl.apply(bikes())
    after = await_ready(kubectl)
    uid = after["metadata"]["uid"]
    assert uid != before["metadata"]["uid"]
    for child in children(kubectl).values():
        assert [one["uid"] for one in child["metadata"]["ownerReferences"]] == [uid]
    kubectl("delete", "typ", NAME)
    kinds = "deployments,replicasets,pods,jobs,configmaps,controllerrevisions,services,roles"
    selector = "--selector=app.kubernetes.io/managed-by=tiltyard"
    await_that(lambda: not kubectl.get(kinds, selector)["items"])


def test_a_shared_model_is_tried_once_told_of_and_rolled_out_to_its_users(
    kubectl: Kubectl,
) -> None:
    document = bikes()
    listed = document["spec"]["models"][0]
    spec = {field: value for field, value in listed.items() if field != "name"}
    model = {
        "apiVersion": document["apiVersion"],
        "kind": "Model",
        "metadata": {"name": "shared"},
        "spec": spec,
    }
    document["spec"]["models"][0] = {"name": "gb", "modelRef": {"name": "shared"}}
    kubectl.apply(document)
    await_condition(kubectl, "Stalled", "True", "ModelNotFound")
    kubectl.apply(model)
    found = await_condition(kubectl, "Ready", "True", "Resolved", "tym/shared")
    before = await_ready(kubectl)
    assert found["status"]["digest"] == before["status"]["models"][0]["digest"]
    await_that(lambda: kubectl.get("tym", "shared")["status"].get("usedBy") == [NAME])
    model["spec"] = spec | {"source": {"uri": file_of("rf")}}
    kubectl.apply(model)
    other = await_condition(kubectl, "Ready", "True", "Resolved", "tym/shared")

    def rolled_out() -> bool:
        models = kubectl.get("typ", NAME)["status"]["models"]
        return bool(models[0]["digest"] == other["status"]["digest"])

    await_that(rolled_out)
    after = await_ready(kubectl)
    assert after["metadata"]["generation"] == before["metadata"]["generation"]
    kubectl("delete", "typ", NAME)
    await_that(lambda: not kubectl.get("tym", "shared")["status"].get("usedBy"))
