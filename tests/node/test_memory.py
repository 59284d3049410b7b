"""Engines that need more memory than they were given: named, and back when that is mended."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import urllib3

from beside import again_and_again
from bikes import NAME, await_ready, condition
from cluster.node import cgroups
from cluster.node.node import Node
from kubectl import Kubectl
from pods import CPUS, MEMORY, ROLLS_SECONDS, address, engines
from served_models import TROUBLE, hungry
from shelves import shelf
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

FLOATS = 2 * MEMORY * 2**20 // 4
"""Numbers that take twice the memory of a pod."""


@pytest.fixture(scope="module")
def glutton(
    kubectl: Kubectl, node: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Object]:
    """A Pipeline of one pod whose model takes more memory than there is, when it is asked to."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "glutton.onnx").write_bytes(hungry(FLOATS))
    document: Object = {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": NAME},
        "spec": {
            "models": [{"name": "glutton", "framework": "onnx"}],
            "steps": [{"name": "eat", "model": "glutton"}],
            "deployment": {"replicas": 1, "cpus": CPUS, "memory": f"{MEMORY}Mi"},
        },
    }
    with shelf(node.host, folder) as url:
        document["spec"]["models"][0]["source"] = {"uri": f"{url}/glutton.onnx"}
        kubectl.apply(document)
        await_ready(kubectl, ROLLS_SECONDS)
        yield document


def ask(kubectl: Kubectl, x: float) -> int:
    """Send one row; the status of the answer, 0 where there was none."""
    url = f"http://{address(kubectl)}/pipelines/{NAME}"
    try:
        return urllib3.request("POST", url, json=[{"x": x}], timeout=30, retries=False).status
    except urllib3.exceptions.HTTPError:
        return 0


@contextmanager
def heard(kubectl: Kubectl) -> Iterator[set[str]]:
    """Read all the time what the status says of being ready; gives the sentences."""
    said: set[str] = set()

    def look() -> None:
        said.add(json.dumps(condition(kubectl.get("typ", NAME), "Ready")))

    with again_and_again(look, 0.1):
        yield said


def first_to_go(pod_uid: str) -> None:
    """Let the kernel end a container whole: the first process of each is the first to go.

    Version 2 of the kernel's interface does so of itself; version 1 ends the greediest process.
    """
    for process in cgroups.processes(pod_uid):
        told = Path(f"/proc/{process}/status").read_text()
        if re.search(r"^NSpid:.*\t1$", told, re.MULTILINE):
            Path(f"/proc/{process}/oom_score_adj").write_text("1000")


@pytest.mark.usefixtures("glutton")
def test_an_engine_that_ran_out_of_memory_comes_back_and_the_status_said_so(
    kubectl: Kubectl,
) -> None:
    (pod,) = engines(kubectl)
    name, uid = pod["metadata"]["name"], pod["metadata"]["uid"]
    first_to_go(uid)
    with heard(kubectl) as said:
        assert ask(kubectl, TROUBLE) != 200

        def restarted() -> Object:
            (state,) = kubectl.get("pod", name)["status"]["containerStatuses"]
            return dict(state["lastState"].get("terminated", {}))

        await_that(restarted, ROLLS_SECONDS)
        await_that(lambda: any("raise deployment.memory" in one for one in said), ROLLS_SECONDS)
        await_ready(kubectl, ROLLS_SECONDS)
    assert restarted()["reason"] == "OOMKilled"
    assert ask(kubectl, 1.0) == 200


def test_too_little_memory_is_named_and_the_old_pod_goes_on(
    kubectl: Kubectl, glutton: Object
) -> None:
    before = [one["metadata"]["uid"] for one in engines(kubectl)]
    spec = glutton["spec"]
    starved = spec["deployment"] | {"memory": "24Mi"}
    kubectl.apply(glutton | {"spec": spec | {"deployment": starved}})

    def told() -> bool:
        stalled = condition(kubectl.get("typ", NAME), "Stalled")
        return "memory" in stalled.get("message", "")

    await_that(told, ROLLS_SECONDS)
    assert condition(kubectl.get("typ", NAME), "Available")["status"] == "True"
    assert ask(kubectl, 1.0) == 200
    kubectl.apply(glutton)
    await_ready(kubectl, ROLLS_SECONDS)
    assert [one["metadata"]["uid"] for one in engines(kubectl)] == before
