"""Models from stores that want credentials: a Secret opens them, and a wrong one is named."""

import base64
from typing import Any

import pytest
import urllib3

from bikes import NAME, await_condition, await_ready
from cluster.node.node import Node
from givers import Handler, Route, answer, giving
from kubectl import Kubectl
from manifests import MODELS, bike_record
from object_stores import s3_server
from pods import ROLLS_SECONDS, address, bikes_from, secret

Object = dict[str, Any]

pytestmark = [pytest.mark.timeout(1800), pytest.mark.xdist_group("node"), pytest.mark.full]

FILES = {name: (MODELS / f"bike-{name}.onnx").read_bytes() for name in ("gb", "rf")}


def opened_by(url: str, name: str) -> Object:
    """Give a Pipeline whose models a Secret opens."""
    document = bikes_from(url, replicas=1)
    for model in document["spec"]["models"]:
        model["source"]["secretName"] = name
    return document


def insist_on_an_answer(kubectl: Kubectl) -> None:
    """Insist that it serves."""
    await_ready(kubectl, ROLLS_SECONDS)
    url = f"http://{address(kubectl)}/pipelines/{NAME}"
    assert urllib3.request("POST", url, json=[bike_record(rider="1")], timeout=30).status == 200


def insist_that_it_is_refused(kubectl: Kubectl) -> None:
    """Insist that the status names the model, and tells nothing of the Secret."""
    seen = await_condition(kubectl, "Ready", "False", "AccessDenied", seconds=ROLLS_SECONDS)
    (ready,) = [one for one in seen["status"]["conditions"] if one["type"] == "Ready"]
    assert ready["message"].startswith(("model gb: ", "model rf: "))
    assert "letmein" not in str(seen["status"])


def test_models_come_from_an_s3_server_by_its_secret(kubectl: Kubectl, node: Node) -> None:
    with s3_server(node.host) as server:
        server.client().create_bucket(Bucket="models")
        for name, content in FILES.items():
            server.client().put_object(Bucket="models", Key=f"bike-{name}.onnx", Body=content)
        secret(kubectl, "models-s3", server.variables())
        kubectl.apply(opened_by("s3://models", "models-s3"))
        insist_on_an_answer(kubectl)
    kubectl("delete", f"typ/{NAME}", "--timeout=60s")


def guarded(content: bytes) -> Route:
    """Give bytes to who knows the password."""
    known = f"Basic {base64.b64encode(b'reader:letmein').decode()}"

    def route(handler: Handler) -> None:
        allowed = handler.headers.get("Authorization") == known
        answer(*((200, content) if allowed else (401, b"")))(handler)

    return route


def test_models_come_from_a_web_server_by_its_secret(kubectl: Kubectl, node: Node) -> None:
    routes = {f"/bike-{name}.onnx": guarded(content) for name, content in FILES.items()}
    with giving(routes, node.host) as server:
        secret(kubectl, "wrong", {"username": "reader", "password": "letmeinn"})
        secret(kubectl, "right", {"username": "reader", "password": "letmein"})
        kubectl.apply(opened_by(server.url, "wrong"))
        insist_that_it_is_refused(kubectl)
        kubectl.apply(opened_by(server.url, "right"))
        insist_on_an_answer(kubectl)
