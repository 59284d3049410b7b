"""A bad candidate on a real node, with nobody there but the engines to stop it."""

from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_condition, await_ready
from cluster.node.node import Node
from installed import OPERATOR
from kubectl import Kubectl
from pods import CPUS, MEMORY, ROLLS_SECONDS, engines
from shelves import shelf
from tried import CANDIDATE, STABLE, STEP, step_of, tried, users
from waiting import await_that

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

BREAKS_THE_NODE = True
"""See `turn` in conftest.py."""

HALF = [{"weight": 50, "hold": "10h"}]


def latches(pods: list[Object]) -> list[Object | None]:
    """Why each engine itself rolled the candidate back; None: it did not."""
    found = []
    with urllib3.PoolManager(retries=False) as pool:
        for pod in pods:
            url = f"http://{pod['status']['podIP']}:9090/status"
            (pipeline,) = pool.request("GET", url, timeout=20).json()["pipelines"]
            (step,) = [one for one in pipeline["steps"] if one["name"] == STEP]
            found.append(step["canary"]["latch"])
    return found


def test_engines_alone_stop_a_bad_candidate_and_the_status_tells_of_it_later(
    kubectl: Kubectl, tiltyard: Kubectl, node: Node, tmp_path: Path
) -> None:
    document = tried(tmp_path, HALF, replicas=3)
    document["spec"]["deployment"] |= {"cpus": CPUS, "memory": f"{MEMORY}Mi"}
    with shelf(node.host, tmp_path) as url:
        for model in document["spec"]["models"]:
            model["source"]["uri"] = f"{url}/{model['name']}.onnx"
        kubectl.apply(document)
        await_ready(kubectl, ROLLS_SECONDS)
    pods = engines(kubectl)
    assert len(pods) == 3
    tiltyard("scale", OPERATOR, "--replicas=0")
    operators = "--selector=app.kubernetes.io/name=tiltyard-operator"
    await_that(lambda: not tiltyard.get("pods", operators)["items"], ROLLS_SECONDS)
    node.pause("kube-apiserver")
    try:
        with users(pods, troubled=True) as asking:
            await_that(lambda: all(latches(pods)), ROLLS_SECONDS)
            failed = len(asking.of(CANDIDATE))
            before = len(asking.answers)
            await_that(lambda: len(asking.answers) > before + 500, ROLLS_SECONDS)
            later = {one.variant for one in asking.answers[before + 50 :]}
    finally:
        node.resume("kube-apiserver")
        tiltyard("scale", OPERATOR, "--replicas=1")
    print(f"off after {failed} failed answers of {before} by three engines")  # noqa: T201 - shown by -rP
    assert later == {STABLE}
    await_condition(kubectl, "CanaryHealthy", "False", "RolledBack", seconds=ROLLS_SECONDS)
    stopped = await_condition(kubectl, "Stalled", "True", "RolledBack", seconds=ROLLS_SECONDS)
    step = step_of(stopped)
    assert step["latched"]["by"] == "engine"
    assert step["latched"]["pod"] in {one["metadata"]["name"] for one in pods}
    assert {one["model"]: one["effective"] for one in step["variants"]} == {STABLE: 1, CANDIDATE: 0}
    kubectl.apply(document | {"metadata": {"name": NAME, "labels": {"looked": "again"}}})
    await_condition(kubectl, "RoutingSynced", "True", "Synced", seconds=ROLLS_SECONDS)
    with users(pods, troubled=True) as asking:
        await_that(lambda: len(asking.answers) > 300, ROLLS_SECONDS)
    assert {one.variant for one in asking.answers} == {STABLE}
