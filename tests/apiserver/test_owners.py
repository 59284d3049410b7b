"""Finalizers and owners that are not ours: what is gone goes, what is not ours stays."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from bikes import NAME, OWNED, await_condition, await_ready, bikes, condition, writes
from cluster.plane import ControlPlane
from kubectl import Kubectl
from waiting import await_that

Object = dict[str, Any]

HOLD = "example.com/hold"
GONE = "0a0a0a0a-0000-4000-8000-000000000000"
"""Uid of an object that there never was."""

PAUSE = 2.0
"""Long enough for an operator that writes without need to be seen."""

pytestmark = [
    pytest.mark.usefixtures("local_node", "operator_process"),
    pytest.mark.timeout(600),
]


def patch(kubectl: Kubectl, kind: str, name: str, *operations: Object) -> None:
    kubectl("patch", kind, name, "--type=json", f"--patch={json.dumps(operations)}")


def hold(kubectl: Kubectl, kind: str) -> None:
    """Put somebody else's finalizer on an object, and have it deleted."""
    add: Object = {"op": "add", "path": "/metadata/finalizers", "value": [HOLD]}
    patch(kubectl, kind, NAME, add)
    kubectl("delete", kind, NAME, "--wait=false")


def let_go(kubectl: Kubectl, kind: str) -> None:
    """Take the finalizer away, as whoever put it there does."""
    patch(kubectl, kind, NAME, {"op": "remove", "path": "/metadata/finalizers"})


def owner(kubectl: Kubectl, kind: str, name: str) -> str:
    """Uid of the owner of an object; empty: there is no such object."""
    done = kubectl.run("get", kind, name, "--output=json")
    if done.returncode:
        return ""
    references = json.loads(done.stdout)["metadata"].get("ownerReferences", [{}])
    return str(references[0].get("uid"))


def uid(kubectl: Kubectl, kind: str, name: str = NAME) -> str:
    return str(kubectl.get(kind, name)["metadata"]["uid"])


def insist_on_rest(audit_log: Path, namespace: str) -> None:
    """Insist that nobody writes who has no reason to."""
    before = writes(audit_log, namespace)
    time.sleep(PAUSE)
    assert writes(audit_log, namespace) == before


def test_finalizers_of_others_hold_what_they_are_on_and_nothing_else(
    kubectl: Kubectl, control_plane: ControlPlane, namespace: str
) -> None:
    kubectl.apply(bikes())
    await_ready(kubectl)
    hold(kubectl, "service")
    insist_on_rest(control_plane.audit_log, namespace)
    before = uid(kubectl, "service")
    let_go(kubectl, "service")
    await_that(lambda: owner(kubectl, "service", NAME) == uid(kubectl, "typ"))
    assert uid(kubectl, "service") != before
    await_ready(kubectl)

    hold(kubectl, "typ")
    kubectl("delete", "role", NAME)
    insist_on_rest(control_plane.audit_log, namespace)  # it ends: nothing is put back
    assert kubectl.get("typ", NAME)["metadata"]["finalizers"] == [HOLD]
    add: Object = {"op": "add", "path": "/metadata/finalizers", "value": [HOLD]}
    patch(kubectl, "service", NAME, add)
    let_go(kubectl, "typ")
    await_that(lambda: kubectl.run("get", "typ", NAME).returncode != 0)

    kubectl.apply(bikes())
    waiting = await_condition(kubectl, "Reconciling", "True", "Retrying")
    said = condition(waiting, "Reconciling")["message"]
    assert f"Service {NAME} of a deleted Pipeline of this name is still there" in said
    let_go(kubectl, "service")
    ready = await_ready(kubectl)
    for kind, name in OWNED.items():
        assert owner(kubectl, kind, name) == ready["metadata"]["uid"], kind


@pytest.mark.full
def test_what_got_another_owner_is_made_anew_or_left_alone(kubectl: Kubectl) -> None:
    kubectl.apply(bikes())
    await_ready(kubectl)
    mine = uid(kubectl, "typ")
    other: Object = {"op": "replace", "path": "/metadata/ownerReferences/0/uid", "value": GONE}
    for kind, name in OWNED.items():
        patch(kubectl, kind, name, other)
    for kind, name in OWNED.items():
        await_that(lambda a=kind, b=name: owner(kubectl, a, b) == mine)
    await_ready(kubectl)

    reference = {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "name": NAME,
        "uid": mine,
        "controller": True,
    }
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "second", "ownerReferences": [reference]},
            "spec": {"ports": [{"port": 80}]},
        }
    )
    theirs = kubectl.get("service", "second")
    second = bikes()
    second["metadata"]["name"] = "second"
    kubectl.apply(second)
    stalled = await_condition(kubectl, "Stalled", "True", "NameTaken", "typ/second")
    assert "Service second" in condition(stalled, "Stalled")["message"]
    assert kubectl.get("service", "second") == theirs
    kubectl("delete", "typ", NAME)  # with which Kubernetes deletes what was its
    ready = await_condition(kubectl, "Ready", "True", "Serving", "typ/second")
    assert owner(kubectl, "service", "second") == ready["metadata"]["uid"]
