"""A whole node that all test processes of a run share, with Tiltyard installed."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cluster.api import Api
from cluster.binaries import WITH_NODE, MissingError, find
from cluster.node.node import Node
from cluster.node.place import obstacle
from cluster.plane import ControlPlane
from cluster.shared import shared
from installed import install
from kubectl import Kubectl
from manifests import MODELS
from shelves import shelf


def why_not() -> str | None:
    """Why there is no node; None where there is one."""
    try:
        find(WITH_NODE)
    except MissingError as missing:
        return f"{missing} (`make node-programs` builds those of the node)"
    return obstacle()


@pytest.fixture(scope="session")
def node_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A control plane that has a node; where there can be none skip, but fail under CI."""
    why = why_not()
    if why and os.environ.get("CI") == "true":
        pytest.fail(why)
    if why:
        pytest.skip(why)
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent
    with shared(run / "node", "keep-node") as plane:
        yield plane


@pytest.fixture(scope="session")
def node(node_plane: ControlPlane) -> Node:
    """The node itself."""
    return Node.of(node_plane)


@pytest.fixture(scope="session")
def api(node_plane: ControlPlane) -> Iterator[Api]:
    """A client with an administrator's rights."""
    with closing(node_plane.api()) as api:
        yield api


@pytest.fixture(scope="session")
def tiltyard(node_plane: ControlPlane) -> Kubectl:
    """The operator's own namespace, the operator in it ready."""
    kubectl = Kubectl(node_plane.kubectl, node_plane.kubeconfig, "tiltyard")
    install(kubectl)
    return kubectl


@pytest.fixture(scope="session")
def models(node: Node) -> Iterator[str]:
    """URL of the folder of the bike models, for pods."""
    with shelf(node.host, MODELS) as url:
        yield url


@pytest.fixture(scope="module")
def turn(node_plane: ControlPlane, request: pytest.FixtureRequest) -> Iterator[None]:
    """Modules may use the node side by side; one that says BREAKS_THE_NODE has it alone."""
    breaks = getattr(request.module, "BREAKS_THE_NODE", False)
    with (node_plane.directory / "turn").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX if breaks else fcntl.LOCK_SH)
        yield


@pytest.fixture(scope="module")
def kubectl(
    turn: None,  # noqa: ARG001 - waits for it
    node_plane: ControlPlane,
    tiltyard: Kubectl,
    api: Api,
) -> Iterator[Kubectl]:
    """kubectl in a namespace of the module's own, where nothing but restricted pods may run."""
    name = f"test-{secrets.token_hex(4)}"
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.call("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": level}})
    yield Kubectl(tiltyard.program, Path(node_plane.kubeconfig), name)
    api.call("DELETE", f"/api/v1/namespaces/{name}")
