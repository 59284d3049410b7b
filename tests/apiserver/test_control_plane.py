"""The control plane of the tests is a whole one, and leaves nothing behind."""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cluster.api import Api, ApiError
from cluster.binaries import DIRECTORY, KUBERNETES, Binaries, MissingError, find
from cluster.plane import ControlPlane, running
from cluster.processes import Child
from kubectl import Kubectl
from waiting import await_that

TOOLS = Path(__file__).parents[2] / "tools"
SUPPORT = Path(__file__).parents[1] / "support"


def test_the_server_is_of_the_pinned_version(binaries: Binaries, kubectl: Kubectl) -> None:
    said = kubectl("version")
    assert f"Server Version: {binaries.version}" in said
    if not os.environ.get(DIRECTORY):
        assert binaries.version == KUBERNETES.version


def test_our_resources_are_served(kubectl: Kubectl) -> None:
    assert "pipelines.tiltyard.dev" in kubectl("api-resources", "--output=name").split()


def test_a_namespace_gets_its_service_account(kubectl: Kubectl) -> None:
    kubectl("wait", "--for=create", "serviceaccount/default", "--timeout=120s")
    assert kubectl("create", "token", "default").count(".") == 2


def test_a_deployment_gets_its_pods(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=web", "--replicas=2")
    kubectl("wait", "--for=create", "pod", "--selector=app=web", "--timeout=120s")
    owners = kubectl("get", "replicasets", "--output=jsonpath={..ownerReferences[0].name}")
    assert owners == "web"


def test_what_is_owned_goes_with_its_owner(kubectl: Kubectl) -> None:
    kubectl("create", "deployment", "web", "--image=web")
    kubectl("wait", "--for=create", "replicaset", "--selector=app=web", "--timeout=120s")
    kubectl("delete", "deployment", "web", "--wait=false")
    kubectl("wait", "--for=delete", "replicaset", "--selector=app=web", "--timeout=120s")


def test_rights_are_what_roles_give(kubectl: Kubectl) -> None:
    someone = f"--as=system:serviceaccount:{kubectl.namespace}:default"
    refused = kubectl.run("get", "configmaps", someone)
    assert "forbidden" in refused.stderr
    kubectl("create", "role", "reader", "--verb=list", "--resource=configmaps")
    account = f"--serviceaccount={kubectl.namespace}:default"
    kubectl("create", "rolebinding", "reader", "--role=reader", account)
    kubectl("get", "configmaps", someone)


def test_pods_that_the_restricted_profile_forbids_are_refused(kubectl: Kubectl) -> None:
    label = "pod-security.kubernetes.io/enforce=restricted"
    kubectl("label", "namespace", kubectl.namespace, label)
    refused = kubectl.run("run", "careless", "--image=web")
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_writes_are_in_the_audit_log(control_plane: ControlPlane, kubectl: Kubectl) -> None:
    kubectl("create", "configmap", "noted")
    kubectl("get", "configmap", "noted")
    lines = control_plane.audit_log.read_text().splitlines()
    noted = [line for line in lines if f'"namespace":"{kubectl.namespace}","name":"noted"' in line]
    assert len(noted) == 1
    assert '"verb":"create"' in noted[0]


def test_another_runs_beside_and_its_parts_restart(
    control_plane: ControlPlane, binaries: Binaries, tmp_path: Path
) -> None:
    with running(tmp_path, binaries) as processes:
        api = processes.plane.api()
        assert processes.plane.url != control_plane.url
        marked = {"metadata": {"name": "marked"}}
        api.call("POST", "/api/v1/namespaces/default/configmaps", marked)
        processes.stop_part("kube-apiserver")
        processes.start_part("kube-apiserver")
        assert api.get("/api/v1/namespaces/default/configmaps/marked") is not None
        with pytest.raises(ApiError, match="401"):
            Api(processes.plane.url, control_plane.token, processes.plane.ca).get("/api/v1/pods")
        api.close()
    assert _processes_in(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
@pytest.mark.usefixtures("binaries")
def test_nothing_outlives_the_process_that_started_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    path = f"{TOOLS}{os.pathsep}{SUPPORT}"
    environment = os.environ | {"PYTHONPATH": path, "TMPDIR": str(state)}
    command = [sys.executable, "-m", "laptop"]
    log = tmp_path / "log"
    child = Child(command, log, environment)
    try:
        await_that(lambda: "Ctrl-C" in log.read_text(), 60)
        assert len(_processes_in(state)) >= 4
        child.process.send_signal(number)
        await_that(lambda: not child.running and not _processes_in(state), 15)
    finally:
        child.stop()
    assert number == signal.SIGKILL or not list(state.iterdir())


def _processes_in(directory: Path) -> list[str]:
    """Processes whose working directory is below this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "cwd").readlink().is_relative_to(directory):
                found.append((process / "comm").read_text())
    return found


def test_missing_programs_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DIRECTORY, str(tmp_path))
    with pytest.raises(MissingError, match="lacks etcd, kube-apiserver"):
        find()
