"""The operator's client does on a real API server what it says it does."""

import json

import pytest

import operators
from cluster.api import MERGE, Api
from cluster.plane import ControlPlane
from kubectl import Kubectl
from operators import configuration
from tiltyard_operator.cluster import Cluster
from tiltyard_operator.desired.metadata import MANAGER
from tiltyard_operator.errors import Conflict, Refused
from tiltyard_operator.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    MODEL,
    PIPELINE,
    POD,
    POD_MONITOR,
    Object,
)
from waiting import await_that


@pytest.fixture(scope="module")
def cluster(control_plane: ControlPlane) -> Cluster:
    return Cluster(configuration(control_plane.kubeconfig), lambda: True)


@pytest.fixture
def config(namespace: str) -> Object:
    head = {"namespace": namespace, "name": "c", "labels": {"a": "ours"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": head, "data": {"x": "1"}}


def pipeline(namespace: str) -> Object:
    return operators.pipeline() | {"metadata": {"namespace": namespace, "name": "p"}}


def path(obj: Object) -> str:
    return CONFIG_MAP.path(obj["metadata"]["namespace"], obj["metadata"]["name"])


def test_what_is_so_already_is_not_written(cluster: Cluster, config: Object) -> None:
    first, second = cluster.apply(config), cluster.apply(config)
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]
    assert {entry["manager"] for entry in second["metadata"]["managedFields"]} == {MANAGER}


def test_fields_of_others_stay_and_ours_are_taken_back(
    cluster: Cluster, api: Api, config: Object
) -> None:
    cluster.apply(config)
    edit = {"metadata": {"labels": {"a": "theirs", "b": "theirs"}}, "data": {"y": "2"}}
    api.call("PATCH", path(config), edit, MERGE)
    back = cluster.apply(config)
    assert back["metadata"]["labels"] == {"a": "ours", "b": "theirs"}
    assert back["data"] == {"x": "1", "y": "2"}


def test_a_field_that_is_applied_no_more_goes(cluster: Cluster, config: Object) -> None:
    cluster.apply(config)
    assert "data" not in cluster.apply(config | {"data": None})


def test_an_apply_to_a_version_is_to_that_version_only(
    cluster: Cluster, api: Api, config: Object
) -> None:
    old = cluster.apply(config)["metadata"]["resourceVersion"]
    api.call("PATCH", path(config), {"data": {"x": "theirs"}}, MERGE)
    head = config["metadata"]
    stale = config | {"metadata": head | {"resourceVersion": old}}
    with pytest.raises(Conflict):
        cluster.apply(stale)
    live = cluster.get(CONFIG_MAP, head["namespace"], head["name"])
    assert live is not None
    assert live["data"] == {"x": "theirs"}
    fresh = config | {"metadata": head | {"resourceVersion": live["metadata"]["resourceVersion"]}}
    assert cluster.apply(fresh)["data"] == {"x": "1"}


def test_what_is_there_is_not_created_and_what_changed_not_replaced(
    cluster: Cluster, config: Object
) -> None:
    made = cluster.create(config)
    with pytest.raises(Conflict, match="already exists"):
        cluster.create(config)
    assert cluster.replace(made | {"data": {"x": "2"}})["data"] == {"x": "2"}
    with pytest.raises(Conflict, match="modified"):
        cluster.replace(made | {"data": {"x": "3"}})


def test_only_this_very_object_is_deleted(cluster: Cluster, config: Object) -> None:
    first = cluster.create(config)
    cluster.delete(first)
    cluster.delete(first)
    second = cluster.create(config)
    with pytest.raises(Conflict, match="UID"):
        cluster.delete(first)
    assert cluster.get(CONFIG_MAP, config["metadata"]["namespace"], "c") == second


def test_what_a_quota_forbids_is_refused_in_the_servers_words(
    cluster: Cluster, kubectl: Kubectl, config: Object
) -> None:
    kubectl("create", "quota", "small", "--hard=count/configmaps=0")
    await_that(lambda: "hard" in kubectl.get("quota", "small").get("status", {}))
    with pytest.raises(Refused, match="exceeded quota: small") as told:
        cluster.apply(config)
    assert (told.value.code, told.value.reason) == (403, "Forbidden")


def test_what_is_no_valid_object_is_refused_with_the_field(
    cluster: Cluster, config: Object
) -> None:
    with pytest.raises(Refused, match=r"data\[a/b\]"):
        cluster.apply(config | {"data": {"a/b": "1"}})
    elsewhere = config["metadata"] | {"namespace": "there-is-none"}
    with pytest.raises(Refused, match="there-is-none"):
        cluster.apply(config | {"metadata": elsewhere})


def test_a_status_is_written_whole_and_never_the_spec(cluster: Cluster, namespace: str) -> None:
    made = cluster.create(pipeline(namespace))
    edited = made | {"spec": made["spec"] | {"suspend": True}}
    written = cluster.write_status(PIPELINE, edited, {"phase": "Loading", "replicas": 1})
    assert written["spec"] == made["spec"]
    assert written["metadata"]["generation"] == made["metadata"]["generation"]
    again = cluster.write_status(PIPELINE, written, {"phase": "Running"})
    assert "replicas" not in again["status"]
    with pytest.raises(Conflict):
        cluster.write_status(PIPELINE, written, {"phase": "Pending"})
    same = cluster.write_status(PIPELINE, again, again["status"])
    assert same["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]
    cluster.delete(made)
    with pytest.raises(Conflict):
        cluster.write_status(PIPELINE, again, {"phase": "Pending"})


def test_events_are_shown_with_their_object(
    cluster: Cluster, kubectl: Kubectl, namespace: str
) -> None:
    made = cluster.create(pipeline(namespace))
    cluster.event(made, "Warning", "BadModel", "no such model " + "x" * 5000)
    shown = kubectl("events", "--for=pipeline.tiltyard.dev/p")
    assert "BadModel" in shown
    assert "no such model" in shown


def test_lists_are_of_one_namespace_and_of_labels(
    cluster: Cluster, namespace: str, config: Object
) -> None:
    cluster.create(config)
    found = cluster.list(CONFIG_MAP, namespace, "a=ours")
    assert [(one["kind"], one["metadata"]["name"]) for one in found.items] == [("ConfigMap", "c")]
    assert cluster.list(CONFIG_MAP, namespace, "a=theirs").items == []
    again = cluster.list(CONFIG_MAP, namespace, "a=ours", found.version)
    assert again.items == found.items
    assert again.version >= found.version > 0
    cluster.create(pipeline(namespace))
    assert cluster.names(PIPELINE, namespace) == [(namespace, "p")]
    assert (namespace, "p") in cluster.names(PIPELINE, None)
    assert cluster.names(MODEL, namespace) == []


def test_it_is_known_which_kinds_are_served(cluster: Cluster) -> None:
    assert cluster.serves(PIPELINE)
    assert cluster.serves(DEPLOYMENT)
    assert cluster.serves(POD)
    assert not cluster.serves(POD_MONITOR)


def test_each_write_is_in_the_audit_log_under_one_name(
    cluster: Cluster, control_plane: ControlPlane, config: Object
) -> None:
    cluster.apply(config)
    namespace = config["metadata"]["namespace"]
    lines = [json.loads(line) for line in control_plane.audit_log.read_text().splitlines()]
    mine = [line for line in lines if line.get("objectRef", {}).get("namespace") == namespace]
    assert MANAGER in {line["userAgent"] for line in mine if line["verb"] == "patch"}
