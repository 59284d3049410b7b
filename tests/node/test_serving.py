"""A Pipeline on a real kubelet: it answers by its Service, within what it was given."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
import urllib3

from cluster.api import Api, ApiError
from cluster.node import cgroups
from cluster.node.images import name_of
from kubectl import Kubectl
from manifests import bike_record
from pods import CPUS, MEMORY, address, asked_inside, engines

Object = dict[str, Any]

pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("node"),
    pytest.mark.full,
    pytest.mark.usefixtures("served"),
]


def test_it_answers_through_its_service_from_this_machine(kubectl: Kubectl) -> None:
    url = f"http://{address(kubectl)}/pipelines/bikes"
    answer = urllib3.request("POST", url, json=[bike_record(rider="rider-1")])
    assert answer.status == 200
    assert answer.headers["X-Tiltyard-Variant"].startswith("demand=")
    assert len(answer.json()[0]["out"]["bikers"]) == 1


def test_it_answers_through_its_service_from_another_pod(kubectl: Kubectl) -> None:
    url = f"http://{address(kubectl)}/pipelines/bikes"
    body = f"data:,{quote(json.dumps([bike_record(rider='rider-1')]))}"
    (row,) = asked_inside(kubectl, url, body)
    assert len(row["out"]["bikers"]) == 1


def test_limits_are_in_force_and_the_engine_knows_them(kubectl: Kubectl) -> None:
    for pod in engines(kubectl):
        (container,) = pod["status"]["containerStatuses"]
        group = pod["metadata"]["uid"], container["containerID"].partition("://")[2]
        if cgroups.unified():
            quota, period = map(int, cgroups.limit(*group, "", "cpu.max").split())
            memory = int(cgroups.limit(*group, "", "memory.max"))
        else:
            quota = int(cgroups.limit(*group, "cpu", "cpu.cfs_quota_us"))
            period = int(cgroups.limit(*group, "cpu", "cpu.cfs_period_us"))
            memory = int(cgroups.limit(*group, "memory", "memory.limit_in_bytes"))
        assert quota / period == pytest.approx(CPUS)
        assert memory == MEMORY * 2**20
    name = engines(kubectl)[0]["metadata"]["name"]
    workers = kubectl("exec", name, "--container=engine", "--", "python", "-c", COUNT_WORKERS)
    assert workers.split() == ["1"], "part of a processor is one worker's"


COUNT_WORKERS = """
import json, urllib.request
told = json.load(urllib.request.urlopen("http://127.0.0.1:9090/status", timeout=30))
print(len(told["workers"]))
"""


WHO = """
import os
print(os.getuid(), os.getgid())
print([folder for folder in ("/", "/opt/tiltyard", "/etc") if os.access(folder, os.W_OK)])
"""


def test_pods_have_no_root_and_nothing_to_write_on(kubectl: Kubectl) -> None:
    name = engines(kubectl)[0]["metadata"]["name"]
    said = kubectl("exec", name, "--container=engine", "--", "python", "-c", WHO)
    assert said.splitlines() == ["65532 65532", "[]"]
    level = kubectl.get("namespace", kubectl.namespace)["metadata"]["labels"]
    assert level["pod-security.kubernetes.io/enforce"] == "restricted"
    rooted = {"name": "rooted", "image": name_of("engine"), "securityContext": {"runAsUser": 0}}
    bad = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "rooted"},
        "spec": {"containers": [rooted]},
    }
    refused = kubectl.run("apply", "--filename=-", stdin=json.dumps(bad))
    assert "violates PodSecurity" in refused.stderr


@pytest.fixture
def as_engine(kubectl: Kubectl, node_plane: Any) -> Iterator[Callable[[str], int]]:
    """Ask the API server as an engine does; gives the status of the answer."""
    token = kubectl("create", "token", "bikes").strip()
    client = Api(node_plane.url, token, node_plane.ca)

    def ask(path: str) -> int:
        try:
            client.call("GET", path)
        except ApiError as error:
            return error.status
        return 200

    yield ask
    client.close()


def test_an_engine_may_read_one_object_and_no_other(
    kubectl: Kubectl, as_engine: Callable[[str], int]
) -> None:
    here = f"/api/v1/namespaces/{kubectl.namespace}"
    own = "fieldSelector=metadata.name%3Dbikes-routing"
    allowed = {
        f"{here}/configmaps/bikes-routing",
        f"{here}/configmaps?{own}",
        f"{here}/configmaps?{own}&watch=true&timeoutSeconds=1&resourceVersion=0&limit=1",
    }
    plan = next(
        one["metadata"]["name"]
        for one in kubectl.get("configmaps")["items"]
        if "-plan-" in one["metadata"]["name"]
    )
    refused = {
        f"{here}/configmaps/{plan}",
        f"{here}/configmaps",
        f"{here}/secrets",
        f"{here}/pods",
        f"/apis/tiltyard.dev/v1alpha1/namespaces/{kubectl.namespace}/pipelines/bikes",
        "/api/v1/nodes",
    }
    assert {path: as_engine(path) for path in refused} == dict.fromkeys(refused, 403)
    told = {path: as_engine(path) for path in sorted(allowed) if "watch" not in path}
    assert set(told.values()) == {200}


CAN = {
    "get configmaps/bikes-routing": "yes",
    "watch configmaps/bikes-routing": "yes",
    "update configmaps/bikes-routing": "no",
    "get configmaps": "no",
    "list secrets": "no",
    "create pods": "no",
    "create pods/exec": "no",
    "patch pipelines.tiltyard.dev/bikes": "no",
    "create serviceaccounts/token": "no",
    "get nodes": "no",
}
"""What an engine's account may do, and what it may not."""


def test_kubectl_says_the_same_of_an_engines_rights(kubectl: Kubectl) -> None:
    account = f"--as=system:serviceaccount:{kubectl.namespace}:bikes"
    said = {what: kubectl.run("auth", "can-i", *what.split(), account) for what in CAN}
    assert {what: done.stdout.strip() for what, done in said.items()} == CAN
