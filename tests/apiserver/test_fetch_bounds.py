"""What the operator allows of models: where they come from, and how much memory they may take."""

from pathlib import Path
from typing import Any

import pytest

from givers import answer, giving
from kubectl import Kubectl
from operators import Operators
from waiting import await_that

pytestmark = pytest.mark.timeout(600)

MODEL = Path(__file__).parents[2] / "examples" / "digits" / "models" / "digits-best.onnx"
PATIENCE = 120.0
TENSOR = [{"name": "x", "type": "float32"}]

Object = dict[str, Any]


def model(name: str, **spec: object) -> Object:
    api = {"apiVersion": "tiltyard.dev/v1alpha1", "kind": "Model"}
    return {**api, "metadata": {"name": name}, "spec": spec}


def pipeline(memory: str) -> Object:
    api = {"apiVersion": "tiltyard.dev/v1alpha1", "kind": "Pipeline"}
    spec = {
        "models": [{"name": "own", "modelRef": {"name": "crowd"}}],
        "steps": [{"name": "only", "model": "own"}],
        "deployment": {"memory": memory},
    }
    return {**api, "metadata": {"name": "crowded"}, "spec": spec}


def condition(kubectl: Kubectl, kind: str, name: str, type_: str) -> Object:
    status = kubectl.get(kind, name).get("status") or {}
    found = [one for one in status.get("conditions") or () if one["type"] == type_]
    return dict(found[0]) if found else {"status": "", "reason": "", "message": ""}


@pytest.mark.usefixtures("local_node")
def test_an_address_of_this_machine_is_asked_where_the_operator_allows_it(
    kubectl: Kubectl, operators: Operators
) -> None:
    with giving({"/m.onnx": answer(200, MODEL.read_bytes())}) as giver:
        first = operators.start().await_work()
        kubectl.apply(model("near", framework="onnx", source={"uri": f"{giver.url}/m.onnx"}))
        await_that(
            lambda: condition(kubectl, "tym", "near", "Stalled")["status"] == "True", PATIENCE
        )
        assert condition(kubectl, "tym", "near", "Stalled")["reason"] == "AddressRefused"
        assert giver.asked == []
        assert first.stop() == 0
        operators.start("operator-1", TILTYARD_FETCH_ADDRESSES="127.0.0.0/8").await_work()
        await_that(lambda: condition(kubectl, "tym", "near", "Ready")["status"] == "True", PATIENCE)
        assert giver.asked
        assert kubectl.get("tym", "near")["status"]["size"] == MODEL.stat().st_size


@pytest.mark.usefixtures("operator_process")
def test_workers_of_a_model_and_the_engine_must_fit_the_pods_of_a_pipeline(
    kubectl: Kubectl,
) -> None:
    source = {"uri": "https://models.example/m.zip"}
    tensors = {"inputs": TENSOR, "outputs": TENSOR, "memory": "400Mi", "workers": 2}
    kubectl.apply(model("crowd", framework="python", source=source, **tensors))
    kubectl.apply(pipeline("1Gi"))
    await_that(
        lambda: condition(kubectl, "typ", "crowded", "Stalled")["status"] == "True", PATIENCE
    )
    stalled = condition(kubectl, "typ", "crowded", "Stalled")
    assert stalled["reason"] == "Invalid"
    assert stalled["message"] == (
        "spec.deployment.memory: workers of Python models and 256Mi for the engine need 1056Mi:"
        " raise it, or lower memory or workers"
    )
    kubectl.apply(pipeline("1056Mi"))
    await_that(
        lambda: condition(kubectl, "typ", "crowded", "Accepted")["status"] == "True", PATIENCE
    )
