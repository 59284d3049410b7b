"""A real control plane, shared by all test processes of a run."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.api import Api
from cluster.binaries import Binaries
from cluster.plane import ControlPlane
from cluster.shared import shared
from faultproxy.proxy import FaultProxy
from kubectl import Kubectl
from localnode.node import LABEL, LocalNode, running_node
from operators import OperatorProcess, Operators

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give these tests the time that they take where a machine does much else."""
    for item in items:
        if item.path.parent == HERE and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def control_plane(
    binaries: Binaries,  # noqa: ARG001 - skips, or fails, where they are missing
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ControlPlane]:
    """A control plane with our CRDs. It is not to be broken: others use it at the same time."""
    run = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        run = run.parent
    with shared(run / "control-plane") as plane:
        yield plane


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """A client with an administrator's rights."""
    api = control_plane.api()
    yield api
    api.close()


@pytest.fixture
def namespace(api: Api) -> Iterator[str]:
    """A namespace of the test's own. Its pods run on the node of that name, if there is one."""
    name = f"test-{secrets.token_hex(4)}"
    selector = {"scheduler.alpha.kubernetes.io/node-selector": f"{LABEL}={name}"}
    about = {"metadata": {"name": name, "annotations": selector}}
    api.call("POST", "/api/v1/namespaces", about)
    yield name
    if api.get(f"/api/v1/namespaces/{name}"):
        api.call("DELETE", f"/api/v1/namespaces/{name}")


@pytest.fixture
def local_node(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[LocalNode]:
    """A node that runs the pods of the test's namespace as processes."""
    with running_node(control_plane, namespace, tmp_path / "node") as node:
        yield node


@pytest.fixture
def proxy(control_plane: ControlPlane) -> Iterator[FaultProxy]:
    """A way to the API server on which things go wrong."""
    with FaultProxy().running(control_plane) as proxy:
        yield proxy


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Run kubectl as an administrator in the test's namespace."""
    return Kubectl(control_plane.kubectl, control_plane.kubeconfig, namespace)


@pytest.fixture
def operators(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Operators]:
    """Starts operators for the test's namespace, under the rights that we ship."""
    operators = Operators(control_plane, namespace, tmp_path)
    yield operators
    operators.stop()


@pytest.fixture
def operator_process(operators: Operators) -> OperatorProcess:
    """An operator that watches the test's namespace."""
    return operators.start().await_work()
