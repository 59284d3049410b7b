"""What uses a Model that is deleted goes on, is kept whole, and is ready again with the Model."""

from typing import Any

import pytest

from bikes import NAME, await_condition, await_ready, bikes, condition
from kubectl import Kubectl
from waiting import await_that

Object = dict[str, Any]

pytestmark = [
    pytest.mark.usefixtures("local_node", "operator_process"),
    pytest.mark.timeout(300),
]


def test_a_pipeline_whose_model_was_deleted_is_kept_whole(kubectl: Kubectl) -> None:
    document = bikes()
    listed = document["spec"]["models"][0]
    spec = {field: value for field, value in listed.items() if field != "name"}
    kind = {"apiVersion": document["apiVersion"], "kind": "Model"}
    model = {**kind, "metadata": {"name": "shared"}, "spec": spec}
    document["spec"]["models"][0] = {"name": "gb", "modelRef": {"name": "shared"}}
    kubectl.apply(model, document)
    before = await_ready(kubectl)
    pod = the_pod(kubectl)
    kubectl("delete", "tym", "shared")
    stalled = await_condition(kubectl, "Stalled", "True", "ModelNotFound")
    assert condition(stalled, "Available")["status"] == "True"
    (plan,) = (name for name in configs(kubectl) if "-plan-" in name)
    for kind_of, name in (("service", NAME), ("role", NAME), ("configmap", plan)):
        kubectl("delete", kind_of, name)
        await_that(lambda a=kind_of, b=name: kubectl.run("get", a, b).returncode == 0)
    document["spec"]["steps"][0]["split"]["variants"][0]["weight"] = 4
    kubectl.apply(document)
    await_condition(kubectl, "RoutingSynced", "True", "Synced")
    variants = kubectl.get("typ", NAME)["status"]["steps"][0]["variants"]
    assert [one["effective"] for one in variants] == [0.8, 0.2]
    kubectl.apply(model)
    after = await_ready(kubectl)
    assert after["status"]["version"] == before["status"]["version"]
    assert the_pod(kubectl) == pod


def the_pod(kubectl: Kubectl) -> str:
    """Give the uid of the only engine."""
    selector = "--selector=app.kubernetes.io/name=tiltyard-engine"
    (pod,) = kubectl.get("pods", selector)["items"]
    return str(pod["metadata"]["uid"])


def configs(kubectl: Kubectl) -> list[str]:
    """Give the names of the ConfigMaps."""
    return [one["metadata"]["name"] for one in kubectl.get("configmaps")["items"]]
