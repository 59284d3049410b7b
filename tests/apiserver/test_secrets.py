"""A Secret that a model is read with: where it is missing it is named, and all else goes on."""

import base64
import json
from typing import Any

import pytest

from bikes import NAME, await_condition, await_ready, bikes, condition
from givers import Handler, Route, answer, giving
from kubectl import Kubectl
from manifests import MODELS
from operators import Operators
from waiting import await_that

Object = dict[str, Any]

SECRET = "models-web"  # noqa: S105 - its name
TOKEN = "letmein"  # noqa: S105 - made up

pytestmark = [pytest.mark.usefixtures("local_node"), pytest.mark.timeout(600)]


def guarded(content: bytes) -> Route:
    """Give bytes to who knows the token."""

    def route(handler: Handler) -> None:
        known = handler.headers.get("Authorization") == f"Bearer {TOKEN}"
        answer(*((200, content) if known else (401, b"")))(handler)

    return route


def reading(url: str, **deployment: object) -> Object:
    """Give a Pipeline one of whose models is read with the Secret."""
    document = bikes(**deployment)
    document["spec"]["models"][0]["source"] = {"uri": f"{url}/gb.onnx", "secretName": SECRET}
    return document


def create(kubectl: Kubectl) -> None:
    """Create the Secret."""
    data = {"token": base64.b64encode(TOKEN.encode()).decode()}
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "data": data}
    )


def serving(kubectl: Kubectl) -> dict[str, bool]:
    """Uids of the pods, and whether each serves."""
    pods = kubectl.get("pods", "--selector=app.kubernetes.io/name=tiltyard-engine")["items"]
    return {one["metadata"]["uid"]: is_ready(one) for one in pods}


def is_ready(pod: Object) -> bool:
    return any(
        (one["type"], one["status"]) == ("Ready", "True") for one in pod["status"]["conditions"]
    )


def insist_that_it_is_named(stalled: Object) -> str:
    """Insist on the Secret's name and what to do; what the status says."""
    message = str(condition(stalled, "Ready")["message"])
    assert f"the Secret '{SECRET}', which secretName names, is not there" in message
    assert "create it in the namespace" in message
    assert condition(stalled, "Available")["status"] == "True"
    return message


def insist_that_nothing_is_told_of_it(kubectl: Kubectl) -> None:
    """Insist that what the Secret holds is its own affair."""
    told = kubectl.get("typ", NAME)["status"], kubectl.get("events")["items"]
    assert TOKEN not in json.dumps(told)


def test_a_secret_that_is_missing_is_named_and_found_when_it_comes(
    kubectl: Kubectl, operators: Operators
) -> None:
    operators.start(TILTYARD_FETCH_ADDRESSES="127.0.0.0/8").await_work()
    kubectl.apply(bikes())
    await_ready(kubectl)
    before = serving(kubectl)
    with giving({"/gb.onnx": guarded((MODELS / "bike-gb.onnx").read_bytes())}) as giver:
        kubectl.apply(reading(giver.url))
        stalled = await_condition(kubectl, "Stalled", "True", "SecretNotFound")
        assert insist_that_it_is_named(stalled).startswith("model gb: ")
        assert condition(stalled, "ModelsLoaded")["reason"] == "SecretNotFound"
        assert serving(kubectl) == before
        assert giver.asked == []
        create(kubectl)
        await_ready(kubectl)
        assert serving(kubectl).keys() != before.keys()
    insist_that_nothing_is_told_of_it(kubectl)


@pytest.mark.full
def test_a_secret_that_is_deleted_is_missed_by_new_pods_alone(
    kubectl: Kubectl, operators: Operators
) -> None:
    operators.start(TILTYARD_FETCH_ADDRESSES="127.0.0.0/8").await_work()
    create(kubectl)
    with giving({"/gb.onnx": guarded((MODELS / "bike-gb.onnx").read_bytes())}) as giver:
        kubectl.apply(reading(giver.url))
        await_ready(kubectl)
        before = serving(kubectl)
        kubectl("delete", "secret", SECRET)
        kubectl.apply(reading(giver.url, replicas=2))
        stalled = await_condition(kubectl, "Stalled", "True", "SecretNotFound")
        assert insist_that_it_is_named(stalled).startswith("pod bikes-")
        assert before.items() <= serving(kubectl).items()
        create(kubectl)
        ready = await_ready(kubectl)
    assert ready["status"]["routing"]["synced"] == "2/2"
    assert before.items() <= serving(kubectl).items()
    insist_that_nothing_is_told_of_it(kubectl)


@pytest.mark.full
def test_a_model_object_names_it_too(kubectl: Kubectl, operators: Operators) -> None:
    operators.start(TILTYARD_FETCH_ADDRESSES="127.0.0.0/8").await_work()
    with giving({"/gb.onnx": guarded((MODELS / "bike-gb.onnx").read_bytes())}) as giver:
        document = reading(giver.url)
        source = document["spec"]["models"][0]["source"]
        kind = {"apiVersion": document["apiVersion"], "kind": "Model"}
        spec = {"framework": "onnx", "source": source}
        kubectl.apply({**kind, "metadata": {"name": "shared"}, "spec": spec})
        stalled = await_condition(kubectl, "Stalled", "True", "SecretNotFound", "tym/shared")
        assert f"the Secret '{SECRET}'" in condition(stalled, "Ready")["message"]
        create(kubectl)
        await_that(lambda: condition(kubectl.get("tym", "shared"), "Ready").get("status") == "True")
