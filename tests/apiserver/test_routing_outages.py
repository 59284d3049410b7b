"""Routing tables while operator and API server are away, damaged, or older than what pods run."""

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_ready, bikes, condition
from cluster.binaries import Binaries
from cluster.crds import install_crds
from cluster.plane import Running, running
from ground import Ground, ground
from kubectl import Kubectl
from manifests import bike_record
from operators import Operators
from pods import engines
from switches import asked
from tiltyard_api.routing import RoutingTable
from waiting import await_that

Object = dict[str, Any]

PARTS = ("kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd")
"""In the order in which they are stopped."""

TABLE = f"{NAME}-routing"

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def processes(binaries: Binaries, tmp_path: Path) -> Iterator[Running]:
    """A control plane of the test's own, to be broken."""
    with running(tmp_path / "plane", binaries) as processes:
        install_crds(processes.plane)
        yield processes


@pytest.fixture
def operated(processes: Running, tmp_path: Path) -> Iterator[Ground]:
    with ground(processes.plane, "outages", tmp_path / "ground") as operated:
        yield operated


def status_of(pod: Object) -> Object:
    """What an engine says of itself."""
    url = f"http://{pod['status']['podIP']}:9090/status"
    said = urllib3.request("GET", url, timeout=20, retries=False).json()
    return dict(said["pipelines"][0])


def variant(pod: Object) -> str:
    """Who answers for a pod; empty: nobody does."""
    url = f"http://{pod['status']['podIP']}:8080/pipelines/{NAME}"
    try:
        answer = urllib3.request("POST", url, json=[bike_record()], timeout=20, retries=False)
    except urllib3.exceptions.HTTPError:
        return ""
    return answer.headers.get("X-Tiltyard-Variant", "").rpartition("=")[2]


@pytest.mark.full
@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(15.0, id="15s"),
        pytest.param(600.0, id="600s", marks=pytest.mark.timeout(1800)),
    ],
)
def test_engines_go_on_by_the_last_table_while_everybody_else_is_away(
    processes: Running, operated: Ground, seconds: float
) -> None:
    operated.kubectl.apply(bikes((1, 0), replicas=2))
    await_ready(operated.kubectl)
    operated.kubectl.apply(bikes((0, 1), replicas=2))
    await_ready(operated.kubectl)
    crashed, steady = engines(operated.kubectl)
    with asked([steady]) as (asking,):
        operated.down()
        processes.stop_part("kube-apiserver")
        operated.node.crash(crashed["metadata"]["name"])
        await_that(lambda: variant(crashed) == "", 60)
        time.sleep(seconds)
        await_that(lambda: variant(crashed) == "rf")  # its new processes have nobody to ask
        assert status_of(crashed)["routing"]["revision"] == 2
        answered = len(asking.answers)
        await_that(lambda: len(asking.answers) > answered + 20)
        assert {(status, by) for _, status, by in asking.answers} == {(200, "rf")}
        processes.start_part("kube-apiserver")
        operated.up()
        operated.kubectl.apply(bikes((1, 0), replicas=2))
        await_ready(operated.kubectl)
        await_that(lambda: asking.answers[-1][2] == "gb")
        assert {status for _, status, _ in asking.answers} == {200}
    assert variant(crashed) == "gb"


def damaged(good: str) -> dict[str, str]:
    """Texts that are no table for an engine that runs a good one, by the reason."""
    table = RoutingTable.model_validate_json(good)

    def text(**changes: object) -> str:
        newer = {"revision": table.revision + 1, "hash": "", **changes}
        return table.model_copy(update=newer).sealed().model_dump_json(by_alias=True)

    (name, step) = next(iter(table.steps.items()))
    unknown = {name: step.model_copy(update={"weights": {"gb": 0, "nobody": 1}})}
    weights = {name: step.model_copy(update={"weights": {"gb": 0, "rf": 1}})}
    return {
        "Malformed": "{ no JSON",
        "OlderRevision": text(revision=table.revision, steps=weights),
        "WrongHash": text().replace('"gb":', '"gb":1'),
        "OtherPipeline": text(pipeline_uid="someone-else"),
        "OtherPlan": text(plan="0" * 64),
        "UnknownVariant": text(steps=unknown),
        "TooLarge": good + " " * ((1 << 20) - (1 << 16) - len(good)),
    }


@pytest.mark.usefixtures("local_node")
def test_a_table_that_was_damaged_is_refused_and_put_right_when_the_operator_comes(
    kubectl: Kubectl, operators: Operators
) -> None:
    operator = operators.start().await_work()
    kubectl.apply(bikes((1, 0)))
    before = await_ready(kubectl)
    (pod,) = engines(kubectl)
    operator.kill()
    in_force = status_of(pod)["routing"]
    ((key, good),) = kubectl.get("configmap", TABLE)["data"].items()
    for reason, text in damaged(good).items():
        config = kubectl.get("configmap", TABLE)
        kubectl("replace", "--filename=-", stdin=json.dumps(config | {"data": {key: text}}))
        await_that(lambda: (status_of(pod)["routing"]["refused"] or {}).get("reason") == reason)  # noqa: B023 - called at once
        found = status_of(pod)["routing"]
        assert (found["revision"], found["hash"]) == (in_force["revision"], in_force["hash"])
        assert variant(pod) == "gb"
        assert metric(pod, f'tiltyard_routing_refused_total{{pipeline="{NAME}",reason="{reason}"}}')
    operators.start().await_work()
    await_that(lambda: status_of(pod)["routing"]["refused"] is None)
    after = await_ready(kubectl)
    assert after["status"]["version"] == before["status"]["version"]
    assert condition(after, "RoutingSynced")["status"] == "True"
    told = kubectl("get", "events", "--field-selector=reason=DriftRepaired")
    assert TABLE in told
    assert variant(pod) == "gb"


def metric(pod: Object, series: str) -> float:
    """Value of a series of an engine."""
    url = f"http://{pod['status']['podIP']}:9090/metrics"
    page = urllib3.request("GET", url, timeout=20, retries=False).data.decode()
    return sum(float(one.rpartition(" ")[2]) for one in page.splitlines() if one.startswith(series))


@pytest.mark.full
def test_pods_that_are_ahead_of_a_restored_etcd_are_overtaken(
    processes: Running, operated: Ground, tmp_path: Path
) -> None:
    folder, copy = processes.plane.directory / "etcd", tmp_path / "snapshot"
    operated.kubectl.apply(bikes((1, 0), replicas=2))
    await_ready(operated.kubectl)
    operated.down()
    stop(processes)
    shutil.copytree(folder, copy)
    start(processes)
    operated.up()
    for weights in ((0, 1), (1, 1), (0, 1)):
        operated.kubectl.apply(bikes(weights, replicas=2))
        await_ready(operated.kubectl)
    pods = engines(operated.kubectl)
    ahead = status_of(pods[0])["routing"]["revision"]
    assert ahead == 4
    with asked(pods) as asking:
        operated.down()
        stop(processes)
        shutil.rmtree(folder)
        shutil.copytree(copy, folder)
        start(processes)
        operated.up()
        await_that(lambda: all(one.answers[-1][2] == "gb" for one in asking))
        ready = await_ready(operated.kubectl)
        assert {status for one in asking for _, status, _ in one.answers} == {200}
    assert ready["status"]["routing"]["revision"] > ahead
    assert {one["metadata"]["uid"] for one in engines(operated.kubectl)} == {
        one["metadata"]["uid"] for one in pods
    }


def stop(processes: Running) -> None:
    for part in PARTS:
        processes.stop_part(part)


def start(processes: Running) -> None:
    for part in reversed(PARTS):
        processes.start_part(part)
