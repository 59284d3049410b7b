"""Pipelines whose pods a real kubelet runs: small, so that several fit on two processors."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bikes import NAME
from cluster.api import Api
from cluster.node.images import name_of
from kubectl import Kubectl
from manifests import bike_document
from tiltyard_core.draws import keyed_draw, pick, thresholds
from waiting import await_that

Object = dict[str, Any]

CPUS = 0.3
MEMORY = 512
"""Mi."""

ROLLS_SECONDS = 300
"""Until pods were replaced, on a machine with much else to do; what is waited for ends the wait."""

_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def restricted_namespace(api: Api, name: str) -> None:
    """Make a namespace where nothing but restricted pods may run."""
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": level}})


@contextmanager
def namespace_of_its_own(api: Api, name: str) -> Iterator[None]:
    """Make such a namespace, which goes with all that is in it when the block ends."""
    restricted_namespace(api, name)
    try:
        yield
    finally:
        api.call("DELETE", f"/api/v1/namespaces/{name}")
    await_that(lambda: api.get(f"/api/v1/namespaces/{name}") is None, ROLLS_SECONDS)


def secret(kubectl: Kubectl, name: str, keys: dict[str, str]) -> None:
    """Make a Secret."""
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name},
            "stringData": keys,
        }
    )


def bikes_from(url: str, weights: tuple[float, float] = (1, 1), **deployment: object) -> Object:
    """Give a Pipeline of two pods; riders are divided, models come by HTTP."""
    document = bike_document(weights, name=NAME, key="rider")
    for model in document["spec"]["models"]:
        model["source"]["uri"] = f"{url}/bike-{model['name']}.onnx"
    asked = {"replicas": 2, "cpus": CPUS, "memory": f"{MEMORY}Mi"}
    document["spec"]["deployment"] = asked | deployment
    return document


def engines(kubectl: Kubectl) -> list[Object]:
    """Give the pods of the Pipeline that are not on their way out."""
    pods = kubectl.get("pods", "--selector=app.kubernetes.io/name=tiltyard-engine")["items"]
    return [one for one in pods if "deletionTimestamp" not in one["metadata"]]


def expecting(kubectl: Kubectl) -> Callable[[str], str]:
    """Give what the header of variants says for a rider where both models weigh the same."""
    ends = thresholds((1, 1))
    salt = f"{kubectl.namespace}/{NAME}/demand"
    return lambda key: f"demand={('gb', 'rf')[pick(ends, keyed_draw(salt, key))]}"


def address(kubectl: Kubectl, pipeline: str = NAME) -> str:
    """Host and port of a Pipeline's Service."""
    return f"{kubectl.get('service', pipeline)['spec']['clusterIP']}:8080"


def asked_inside(kubectl: Kubectl, url: str, body: str, **headers: str) -> list[Any]:
    """Send records from a pod of its own; the rows of the answer.

    Args:
        kubectl: for where the pod is to be.
        url: of the Pipeline.
        body: URL that the pod reads the records from: a command has no room for a picture.
        headers: of the request.

    """
    told = {"Content-Type": "application/json"} | headers
    said = inside(
        kubectl,
        "import urllib.request as u;"
        f"body = u.urlopen({body!r}, timeout=30).read();"
        f"asked = u.Request({url!r}, body, {told!r});"
        "print(u.urlopen(asked, timeout=30).read().decode())",
    )
    return list(json.loads(said))


def inside(kubectl: Kubectl, program: str) -> str:
    """Run a program of Python in a pod of its own; what it printed."""
    name = f"once-{secrets.token_hex(3)}"
    container = {
        "name": "once",
        "image": name_of("engine"),
        "command": ["python", "-c", program],
        "securityContext": _SECURITY | {"readOnlyRootFilesystem": True},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - of the pod
    }
    kubectl.apply(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "containers": [container],
                "restartPolicy": "Never",
                "volumes": [{"name": "tmp", "emptyDir": {}}],
            },
        }
    )

    def phase() -> str:
        return str(kubectl.get("pod", name)["status"].get("phase"))

    await_that(lambda: phase() in {"Succeeded", "Failed"}, 120)
    said = kubectl("logs", name)
    assert phase() == "Succeeded", said
    return said
