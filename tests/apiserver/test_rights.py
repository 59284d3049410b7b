"""The rights that we ship are what the operator needs, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.api import Api
from cluster.binaries import Binaries
from cluster.crds import install_crds
from cluster.plane import ControlPlane, running
from kubectl import Kubectl
from operators import ACCOUNT, PLAIN, Operators, create
from operators import rights as shipped
from tiltyard_operator.kinds import CONFIG_MAP
from waiting import await_that

READ = {"get", "list", "watch"}
KEPT = READ | {"create", "patch"}
PASSING = KEPT | {"delete"}

WITHIN: dict[tuple[str, str], set[str]] = {
    ("pipelines.tiltyard.dev", ""): READ,
    ("models.tiltyard.dev", ""): READ,
    ("pipelines.tiltyard.dev/status", ""): {"update"},
    ("models.tiltyard.dev/status", ""): {"update"},
    ("events", ""): {"create"},
    ("services", ""): KEPT,
    ("serviceaccounts", ""): KEPT,
    ("deployments.apps", ""): KEPT,
    ("roles.rbac.authorization.k8s.io", ""): KEPT,
    ("rolebindings.rbac.authorization.k8s.io", ""): KEPT,
    ("configmaps", ""): PASSING,
    ("controllerrevisions.apps", ""): PASSING,
    ("jobs.batch", ""): PASSING,
    ("horizontalpodautoscalers.autoscaling", ""): PASSING,
    ("poddisruptionbudgets.policy", ""): PASSING,
    ("networkpolicies.networking.k8s.io", ""): PASSING,
    ("podmonitors.monitoring.coreos.com", ""): PASSING,
    ("replicasets.apps", ""): {"get", "list"},
    ("pods", ""): READ,
}
"""What the operator may do in a namespace that it serves: resource and name -> verbs."""

LEASES = "leases.coordination.k8s.io"
OWN_LEASE = {(LEASES, ""): {"create"}, (LEASES, ACCOUNT): READ | {"update"}}
OTHERS_LEASE = {(LEASES, ACCOUNT): {"list", "watch"}}

Rights = dict[tuple[str, str], set[str]]


def rights(kubectl: Kubectl, home: str, namespace: str, account: str = ACCOUNT) -> Rights:
    """What kubectl says that a service account may do in a namespace."""
    user = f"--as=system:serviceaccount:{home}:{account}"
    text = kubectl("auth", "can-i", "--list", user, f"--namespace={namespace}", "--no-headers")
    found: Rights = {}
    for line in text.splitlines():
        resource, brackets = line.split(" ", 1)
        _, names, verbs = re.findall(r"\[(.*?)\]", brackets)
        if resource:  # else it is a right on a path such as /healthz
            found.setdefault((resource, names), set()).update(verbs.split())
    return found


def given(kubectl: Kubectl, home: str, namespace: str) -> Rights:
    """What the operator may do beyond what anybody may."""
    anybody = rights(kubectl, home, namespace, "default")
    found = rights(kubectl, home, namespace)
    return {what: verbs for what, verbs in found.items() if anybody.get(what) != verbs}


@pytest.mark.usefixtures("operators")
def test_in_its_namespace_it_may_do_this_and_elsewhere_nothing(kubectl: Kubectl) -> None:
    home = kubectl.namespace
    assert given(kubectl, home, home) == WITHIN | OWN_LEASE
    assert given(kubectl, home, "default") == {}


@pytest.fixture
def tiltyard(kubectl: Kubectl) -> Iterator[Kubectl]:
    kubectl("create", "namespace", "tiltyard")
    objects = yaml.safe_dump_all(shipped("cluster"))
    kubectl("apply", "--filename=-", "--namespace=tiltyard", stdin=objects)
    yield kubectl
    kubectl("delete", "--filename=-", "--namespace=tiltyard", stdin=objects)
    kubectl("delete", "namespace", "tiltyard", "--wait=false")


def test_in_the_whole_cluster_it_may_do_the_same_and_writes_its_own_lease_only(
    tiltyard: Kubectl,
) -> None:
    assert given(tiltyard, "tiltyard", tiltyard.namespace) == WITHIN | OTHERS_LEASE
    assert given(tiltyard, "tiltyard", "tiltyard") == WITHIN | OWN_LEASE


@pytest.mark.usefixtures("operators")
@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("create", "pods/exec"),
        ("get", "pods/proxy"),
        ("update", "pipelines.tiltyard.dev"),
        ("patch", "pipelines.tiltyard.dev"),
        ("delete", "pipelines.tiltyard.dev"),
        ("delete", "deployments.apps"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("bind", "roles.rbac.authorization.k8s.io"),
        ("impersonate", "serviceaccounts"),
        ("create", "serviceaccounts/token"),
        ("get", "customresourcedefinitions.apiextensions.k8s.io"),
        ("list", "namespaces"),
        ("list", "nodes"),
        ("*", "*"),
    ],
)
def test_it_may_not(kubectl: Kubectl, verb: str, resource: str) -> None:
    user = f"--as=system:serviceaccount:{kubectl.namespace}:{ACCOUNT}"
    kind, _, part = resource.partition("/")
    asked = kubectl.run("auth", "can-i", verb, kind, f"--subresource={part}", user)
    assert asked.stdout.strip() == "no", asked


@pytest.mark.usefixtures("operators")
def test_it_cannot_give_away_what_it_does_not_have(kubectl: Kubectl) -> None:
    user = f"--as=system:serviceaccount:{kubectl.namespace}:{ACCOUNT}"
    role: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "engine", "namespace": kubectl.namespace},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "watch"]}],
    }
    kubectl("create", "--filename=-", user, stdin=yaml.safe_dump(role))
    role["metadata"]["name"] = "thief"
    role["rules"][0]["resources"] = ["secrets"]
    refused = kubectl.run("create", "--filename=-", user, stdin=yaml.safe_dump(role))
    assert "attempting to grant RBAC permissions not currently held" in refused.stderr


def test_with_rights_in_the_whole_cluster_every_namespace_is_served(
    binaries: Binaries, tmp_path: Path
) -> None:
    with running(tmp_path / "plane", binaries) as processes:
        plane = processes.plane
        install_crds(plane)
        api = plane.api()
        for name in ("tiltyard", "shop", "bank"):
            api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
        operators = Operators(plane, "tiltyard", tmp_path, "cluster")
        try:
            operators.start(command=PLAIN, TILTYARD_NAMESPACES="").await_work()
            for name in ("shop", "bank"):
                create(api, name)
                child = CONFIG_MAP.path(name, "p-routing")
                await_that(lambda child=child: api.get(child))
        finally:
            operators.stop()
            api.close()


def test_refusals_of_rights_are_named_and_end_when_they_are_lifted(
    operators: Operators, control_plane: ControlPlane, kubectl: Kubectl, api: Api
) -> None:
    del control_plane
    operator = operators.start(command=PLAIN).await_work()
    role = kubectl.get("role", ACCOUNT)
    without = [rule for rule in role["rules"] if "configmaps" not in rule["resources"]]
    kubectl.apply(_role(kubectl, without))
    create(api, kubectl.namespace)
    phrase = "the API server refused what a reconcile wanted"
    await_that(lambda: operator.said(phrase))
    said = next(line for line in operator.lines() if line["message"] == phrase)
    assert said["object"] == f"Pipeline {kubectl.namespace}/p"
    assert "configmaps" in said["error"]
    kubectl.apply(_role(kubectl, role["rules"]))
    await_that(lambda: api.get(CONFIG_MAP.path(kubectl.namespace, "p-routing")), 60)
    assert operator.count('tiltyard_operator_reconciles_total{kind="Pipeline",result="refused"}')


def _role(kubectl: Kubectl, rules: list[Any]) -> dict[str, Any]:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": ACCOUNT, "namespace": kubectl.namespace},
        "rules": rules,
    }
