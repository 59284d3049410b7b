"""Prometheus finds operator and engines by what we ship, and every panel and alert has its data."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_ready, bikes
from cluster.api import MERGE, Api
from cluster.binaries import Binaries
from helm import CHART, Helm, of_kind
from kubectl import Kubectl
from manifests import bike_record
from operators import OperatorProcess
from prometheus import ask, configuration, panels, prometheus, samples
from waiting import await_that

Object = dict[str, Any]

ALERTS = CHART / "files/alerts.yaml"
ENGINES = "--selector=app.kubernetes.io/name=tiltyard-engine"
FEEDBACK = 30
"""Pieces for each engine: none of both has one variant alone, but for once in 5e17 runs."""

pytestmark = pytest.mark.usefixtures("local_node")


def tried(weights: tuple[float, float] = (1, 1)) -> Object:
    """A Pipeline with an experiment."""
    document = bikes(weights, replicas=2)
    metrics = [{"name": "kept", "kind": "binary"}]
    document["spec"]["experiment"] = {"metrics": metrics, "minUnits": 1}
    return document


def shadowed() -> Object:
    """A Pipeline with a challenger, of the same models."""
    document = bikes()
    document["metadata"]["name"] = "watched"
    shadow = {"champion": "gb", "challengers": [{"model": "rf"}]}
    compare = {"output": "bikers", "tolerance": 10}
    document["spec"]["steps"] = [{"name": "demand", "shadow": {**shadow, "compare": compare}}]
    return document


def stand_for(operator: OperatorProcess, helm: Helm, kubectl: Kubectl, api: Api) -> None:
    """Let a pod as the chart makes it stand for the operator's process."""
    template = of_kind(helm.objects(), "Deployment")["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", **template}
    pod["metadata"]["name"] = "operator-0"
    pod["spec"]["containers"][0]["ports"][0]["containerPort"] = operator.port
    pod["spec"]["schedulerName"] = "nobody"
    kubectl.apply(pod)
    status = {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/operator-0/status"
    api.call("PATCH", path, {"status": status}, MERGE)


def send(kubectl: Kubectl, records: int) -> None:
    """Send records to every engine."""
    body = json.dumps([bike_record()] * records).encode()
    for pod in kubectl.get("pods", ENGINES)["items"]:
        pipeline = pod["metadata"]["labels"]["app.kubernetes.io/instance"]
        url = f"http://{pod['status']['podIP']}:8080/pipelines/{pipeline}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert answer.status == 200


def tell(kubectl: Kubectl) -> None:
    """Ask an engine of the experiment, and tell it what came of that."""
    mine = f"{ENGINES},app.kubernetes.io/instance={NAME}"
    for pod in kubectl.get("pods", mine)["items"]:
        url = f"http://{pod['status']['podIP']}:8080"
        for number in range(FEEDBACK):
            asked = urllib3.request("POST", f"{url}/infer", json=[bike_record()], timeout=20)
            piece = {"inferenceId": asked.headers["X-Tiltyard-Inference-Id"], "metric": "kept"}
            told = urllib3.request(
                "POST", f"{url}/feedback", json=piece | {"value": number % 2}, timeout=20
            )
            assert told.status == 202, told.data


@pytest.mark.timeout(300)
def test_all_is_found_each_panel_answers_and_no_alert_fires(
    binaries: Binaries,
    kubectl: Kubectl,
    api: Api,
    operator_process: OperatorProcess,
    tmp_path: Path,
) -> None:
    helm = Helm(binaries["helm"], tmp_path / "helm")
    for document in (tried(), shadowed()):
        kubectl.apply(document)
    await_ready(kubectl)
    kubectl("wait", "--for=condition=Ready", "typ/watched", "--timeout=50s")
    stand_for(operator_process, helm, kubectl, api)
    config = configuration(tmp_path, ALERTS, kubectl)
    with prometheus(tmp_path, config) as url:
        await_that(lambda: len(samples(url, "up == 1")) == 4, 60)
        pods = {labels["pod"] for labels, _ in samples(url, "up")}
        engines = {one["metadata"]["name"] for one in kubectl.get("pods", ENGINES)["items"]}
        assert pods == {"operator-0"} | engines
        assert {labels["namespace"] for labels, _ in samples(url, "up")} == {kubectl.namespace}
        tell(kubectl)
        kubectl.apply(tried((1, 3)))
        await_ready(kubectl)
        send(kubectl, 50)
        empty: list[str] = []

        def answered() -> bool:
            send(kubectl, 1)
            empty[:] = [
                title
                for title, queries in panels().items()
                if not all(samples(url, query) for query in queries)
            ]
            return not empty

        await_that(answered, 60)

        def meant() -> list[float]:
            return [
                value
                for labels, value in samples(url, panels()["Share that is meant"][0])
                if (labels["pipeline"], labels["variant"]) == (NAME, "rf")
            ]

        await_that(lambda: meant() == [0.75], 60)
        figures = samples(url, panels()["Difference to the control, with its interval"][0])
        assert [labels["pipeline_namespace"] for labels, _ in figures] == [kubectl.namespace]
        rules = [rule for group in ask(url, "rules")["groups"] for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
        kubectl("delete", "typ", NAME, "--wait=false")
        await_that(lambda: not samples(url, "tiltyard_operator_experiment_estimate"), 60)
