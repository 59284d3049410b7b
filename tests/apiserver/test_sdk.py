"""The client of a cluster, on a real API server: what it applies is what kubectl shows."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bikes import NAME, await_ready, bikes
from cluster.plane import ControlPlane
from kubectl import Kubectl
from localnode.node import LocalNode
from manifests import COLUMNS, MODELS, bike_record
from programs import tiltyard as run_tiltyard
from tiltyard import (
    Client,
    EntityNotFoundError,
    Failure,
    FolderStore,
    ModelVersion,
    Pipeline,
    versions,
)

INPUTS = [
    {"name": "features", "from": "X", "type": "float32", "shape": [10], "columns": COLUMNS},
]
OUTPUTS = [{"name": "bikers", "from": "variable", "type": "float32", "shape": [1]}]
SIZE = {"replicas": 1, "cpus": 0.5, "memory": "1Gi"}
ROW = pd.DataFrame([bike_record()])
ENGINES = "--selector=app.kubernetes.io/name=tiltyard-engine"

pytestmark = [
    pytest.mark.usefixtures("local_node", "operator_process"),
    pytest.mark.timeout(600),
]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def client(
    control_plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Client]:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    store = FolderStore(tmp_path / "store")
    kubeconfig = str(control_plane.kubeconfig)
    with Client(namespace, kubeconfig=kubeconfig, store=store, tell=told.append) as client:
        yield client


def uploaded(client: Client, name: str) -> ModelVersion:
    return client.upload_model(name, MODELS / f"bike-{name}.onnx", "onnx", INPUTS, OUTPUTS)


def reached(client: Client, kubectl: Kubectl, namespace: str) -> Client:
    """A client that asks the only pod of the Pipeline at its own address."""
    (pod,) = [
        one
        for one in kubectl.get("pods", ENGINES)["items"]
        if "deletionTimestamp" not in one["metadata"]
    ]
    url = f"http://{pod['status']['podIP']}:8080"
    del client
    return Client(namespace, kubeconfig=str(kubectl.kubeconfig), url=url, tell=lambda _: None)


def weights(kubectl: Kubectl) -> dict[str, Any]:
    split = kubectl.get("typ", NAME)["spec"]["steps"][0]["split"]
    return {one["model"]: one["weight"] for one in split["variants"]}


def test_a_life_of_a_pipeline_in_a_cluster(
    client: Client, kubectl: Kubectl, namespace: str, told: list[str]
) -> None:
    gb, rf = uploaded(client, "gb"), uploaded(client, "rf")
    assert gb.status() == "ready"
    assert "gb" in kubectl("get", "models")
    assert {one.name() for one in client.list_models()} == {"gb", "rf"}
    pipeline = client.build_pipeline(NAME).add_random_split([(2, gb), (1, rf)], name="demand")
    pipeline.deploy(SIZE)
    assert told[-1] == f"{NAME}: ready"
    assert any(line.startswith(f"{NAME}: ") for line in told[:-1]), "it said what it waited for"
    status = pipeline.status()
    assert status["status"] == "Running"
    assert status["routing"]["synced"] == "1/1"
    assert kubectl.get("typ", NAME)["spec"]["models"][0]["source"]["sha256"] == gb.sha()

    with reached(client, kubectl, namespace) as near:
        assert near.get_pipeline(NAME).infer(ROW)["out.bikers"].notna().all()

    pod = kubectl("get", "pods", "--output=name", ENGINES)
    pipeline.set_weights({"gb": 0})
    assert weights(kubectl) == {"gb": 0, "rf": 1}
    assert kubectl("get", "pods", "--output=name", ENGINES) == pod

    pipeline.replace_with_model_step(0, gb).deploy()
    assert [one["version"] for one in pipeline.history()] == [2, 1]
    pipeline.rollback()
    assert set(weights(kubectl)) == {"gb", "rf"}
    assert pipeline.status()["status"] == "Running"

    shown = run_tiltyard("history", NAME, "-n", namespace, "-o", "json")
    assert [one["version"] for one in json.loads(shown.stdout)] == [3, 2]

    pipeline.undeploy()
    assert pipeline.status()["status"] == f"Pipeline {NAME} is not deployed"
    assert not kubectl.get("deployment", NAME)["spec"]["replicas"]


def test_a_pipeline_of_kubectl_is_read_whole_and_becomes_what_is_deployed(
    client: Client,
    kubectl: Kubectl,
    namespace: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = bikes((1, 1), replicas=1)
    kubectl.apply(document)
    await_ready(kubectl)
    pipeline = client.get_pipeline(NAME)
    assert pipeline.steps() == document["spec"]["steps"]
    pipeline.clear().add_model_step(uploaded(client, "rf"), name="other").deploy()
    spec = kubectl.get("typ", NAME)["spec"]
    assert [step["name"] for step in spec["steps"]] == ["other"]
    assert [one["name"] for one in spec["models"]] == ["rf"]
    assert spec["deployment"]["memory"] == "1Gi"

    manifest = tmp_path / "bikes.yaml"
    manifest.write_text(json.dumps(bikes((0, 1), replicas=1)))
    versions.apply([manifest], namespace, 300)
    assert capsys.readouterr().out == f"Pipeline {NAME} in namespace {namespace}: applied\n"
    assert weights(kubectl) == {"gb": 0, "rf": 1}
    versions.rollback(NAME, namespace, 2, 300)
    assert [step["name"] for step in kubectl.get("typ", NAME)["spec"]["steps"]] == ["other"]
    versions.undeploy(NAME, namespace, 300)
    assert kubectl.get("typ", NAME)["spec"]["suspend"] is True
    none = run_tiltyard("undeploy", "none", "-n", namespace)
    assert none.returncode == 1
    assert none.stderr.startswith(f"there is no Pipeline none in namespace {namespace}")


def test_another_upload_of_a_name_changes_nothing_that_runs(
    client: Client, kubectl: Kubectl
) -> None:
    def upload(file: str) -> ModelVersion:
        return client.upload_model("bike", MODELS / f"bike-{file}.onnx", "onnx", INPUTS, OUTPUTS)

    def served() -> list[str]:
        return [one["digest"] for one in kubectl.get("typ", NAME)["status"]["models"]]

    first = upload("gb")
    pipeline = client.build_pipeline(NAME).add_model_step(first).deploy(SIZE)
    pods = kubectl("get", "pods", "--output=name", ENGINES)
    second = upload("rf")
    (listed,) = client.list_models()
    assert listed.versions() == [second] == [client.get_model("bike")]
    there = rf"no version {first.version()} \(there: {second.version()}\)"
    with pytest.raises(EntityNotFoundError, match=there):
        client.get_model("bike", first.version())
    client.get_pipeline(NAME).deploy()
    assert served() == [first.sha()]
    assert kubectl("get", "pods", "--output=name", ENGINES) == pods

    second = second.configure(timeout="4s")
    assert kubectl.get("models.tiltyard.dev", "bike")["spec"]["timeout"] == "4s"
    pipeline.replace_with_model_step(0, second).deploy()
    assert served() == [second.sha()]
    pipeline.rollback()
    assert served() == [first.sha()]
    assert client.get_model("bike") == second


@pytest.mark.full
def test_what_stalls_is_told_in_the_clusters_words(
    client: Client, local_node: LocalNode, namespace: str, tmp_path: Path
) -> None:
    del local_node
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(Failure, match="model broken stalls, NotAModel: "):
        client.upload_model("broken", tmp_path / "broken.onnx")
    gone = bikes()["spec"]["models"][0] | {"name": "gone"}
    gone["source"] = {"uri": f"file://{tmp_path}/gone.onnx"}
    model = ModelVersion({"metadata": {"name": "gone"}, "spec": _spec(gone)}, lambda one: one)
    with pytest.raises(Failure, match=f"{NAME} stalls, SourceNotFound: .*gone") as failure:
        client.build_pipeline(NAME).add_model_step(model).deploy(SIZE)
    assert "\n" not in str(failure.value)
    with pytest.raises(EntityNotFoundError, match=f"no pipeline none in workspace {namespace}"):
        client.get_pipeline("none")


def _spec(listed: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in listed.items() if key != "name"}


def test_workspaces_are_namespaces(client: Client, namespace: str) -> None:
    assert client.get_current_workspace().name() == namespace
    assert namespace in {one.name() for one in client.list_workspaces()}
    assert client.get_workspace(namespace).name() == namespace
    with pytest.raises(Failure, match=f"namespace {namespace}"):
        client.create_workspace(namespace)


@pytest.mark.full
def test_a_deployment_that_takes_too_long_says_how_far_it_is(client: Client) -> None:
    pipeline: Pipeline = client.build_pipeline(NAME).add_model_step(uploaded(client, "gb"))
    size = SIZE | {"cpus": 1000}
    with pytest.raises(Failure, match=f"{NAME} is not ready after 3 s, it goes on: "):
        pipeline.deploy(size, timeout=3)
