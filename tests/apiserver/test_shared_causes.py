"""Another engine rolls every Pipeline, but only so many at once: a bad one stops there."""

from typing import Any

import pytest

from bikes import await_ready, bikes
from kubectl import Kubectl
from localnode.node import LocalNode
from operators import Operators
from tiltyard_operator.slots import MOST
from waiting import await_that

PIPELINES = MOST + 3


@pytest.mark.timeout(240)
def test_a_new_engine_that_does_not_get_ready_stops_at_ten_pipelines(
    kubectl: Kubectl, operators: Operators, local_node: LocalNode
) -> None:
    def deployments() -> list[dict[str, Any]]:
        return list(kubectl.get("deployments")["items"])

    def images() -> list[str]:
        pods = [one["spec"]["template"]["spec"] for one in deployments()]
        return [pod["containers"][0]["image"] for pod in pods]

    def reasons() -> list[str]:
        found = [one["status"].get("conditions", ()) for one in kubectl.get("typ")["items"]]
        return [one["reason"] for some in found for one in some if one["type"] == "Ready"]

    first = operators.start("operator-0", TILTYARD_ENGINE_IMAGE="engine:1").await_work()
    kubectl.apply(bikes())
    await_ready(kubectl)  # its models are known from now on
    kubectl.apply({**bikes(replicas=0), "metadata": {"name": "bikes"}})
    local_node.cordon()
    documents = [bikes() for _ in range(PIPELINES)]
    for number, document in enumerate(documents):
        document["metadata"]["name"] = f"bikes-{number}"
    kubectl.apply(*documents)
    await_that(lambda: images() == ["engine:1"] * (PIPELINES + 1), 90)
    first.stop()
    second = operators.start("operator-1", TILTYARD_ENGINE_IMAGE="engine:2").await_work()
    await_that(lambda: reasons().count("Queued") >= PIPELINES - MOST, 90)
    assert images().count("engine:2") in (MOST, MOST + 1)  # the one of no pods was done at once
    third = {**documents[0], "metadata": {"name": find(kubectl, "Queued")}}
    third["spec"]["deployment"]["cpus"] = 0.25
    kubectl.apply(third)  # its own spec needs no turn
    name = third["metadata"]["name"]

    def image() -> str:
        pod = kubectl.get("deployment", name)["spec"]["template"]["spec"]
        return str(pod["containers"][0]["image"])

    await_that(lambda: image() == "engine:2")
    second.stop()


def find(kubectl: Kubectl, reason: str) -> str:
    """Name of a Pipeline whose readiness has this reason."""
    for one in kubectl.get("typ")["items"]:
        for condition in one["status"].get("conditions", ()):
            if (condition["type"], condition["reason"]) == ("Ready", reason):
                return str(one["metadata"]["name"])
    raise AssertionError(f"no Pipeline says {reason}")
