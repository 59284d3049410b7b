"""A whole node that all test processes of a run share, with Tiltyard installed."""

import copy
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from bikes import await_ready
from cluster.api import Api
from cluster.binaries import WITH_NODE, MissingError, find
from cluster.node.node import Node, power_cut
from cluster.node.place import obstacle
from cluster.plane import ControlPlane
from cluster.shared import shared
from helm import Helm
from installed import RELEASE, install
from kubectl import Kubectl
from manifests import MODELS
from pods import (
    ROLLS_SECONDS,
    address,
    bikes_from,
    expecting,
    namespace_of_its_own,
    restricted_namespace,
)
from shelves import shelf
from steady import judge, steady
from waiting import await_that

Object = dict[str, Any]


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
def reboot(node_plane: ControlPlane) -> Iterator[Callable[[], None]]:
    """Cut the node's power, and let it start again."""
    with ExitStack() as running:
        yield lambda: running.enter_context(power_cut(node_plane, find(WITH_NODE)))


@pytest.fixture(scope="session")
def helm(node_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Helm for the operator's own namespace."""
    home = tmp_path_factory.mktemp("helm")
    return Helm(find(WITH_NODE)["helm"], home, RELEASE, node_plane.kubeconfig)


@pytest.fixture(scope="session")
def tiltyard(node_plane: ControlPlane, api: Api, helm: Helm) -> Kubectl:
    """The operator's own namespace, with the operator ready in it."""
    kubectl = Kubectl(node_plane.kubectl, node_plane.kubeconfig, helm.namespace)
    if api.get(f"/api/v1/namespaces/{helm.namespace}") is None:
        restricted_namespace(api, helm.namespace)
    install(helm, kubectl)
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
    with namespace_of_its_own(api, name):
        yield Kubectl(tiltyard.program, Path(node_plane.kubeconfig), name)


@pytest.fixture(scope="module")
def served(kubectl: Kubectl, models: str) -> Object:
    """A Pipeline of two pods that serves."""
    document = bikes_from(models)
    kubectl.apply(document)
    await_ready(kubectl, ROLLS_SECONDS)
    return document


@pytest.fixture
def pipeline(kubectl: Kubectl, served: Object) -> Object:
    """The same, as it was made: whatever a test did to it is undone."""
    kubectl.apply(served)
    await_ready(kubectl, ROLLS_SECONDS)
    return copy.deepcopy(served)


@pytest.fixture
def expected(kubectl: Kubectl) -> Callable[[str], str]:
    """Which variant a rider gets: equal weights are equal, whatever they are."""
    return expecting(kubectl)


@pytest.fixture
def under_traffic(
    kubectl: Kubectl, expected: Callable[[str], str]
) -> Callable[[Callable[[], None]], None]:
    """Change something while requests come; every one must be answered by the right model."""

    def insist(change: Callable[[], None]) -> None:
        with steady(address(kubectl), "/pipelines/bikes", expected) as traffic:
            await_that(lambda: traffic.reached(200), 60)
            change()
            before = traffic.answered
            await_that(lambda: traffic.reached(before + 200), 60)
        judge(traffic)

    return insist
