"""The operator of a Helm release, run as a process: its account, its rights and its settings."""

import os
from pathlib import Path

from cluster.plane import ControlPlane
from kubectl import Kubectl
from operators import ACCOUNT, OperatorProcess

FIELDS = {"metadata.name": "{name}", "metadata.namespace": "{namespace}"}


class ReleasedOperators:
    """Operators of the releases of one control plane."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self._plane = plane
        self._folder = folder
        self._started: list[OperatorProcess] = []

    def start(self, namespace: str) -> OperatorProcess:
        """Start what the Deployment of a release says, but at a port that is free."""
        log = self._folder / f"{namespace}-{len(self._started)}.log"
        environment = _environment(self._plane, namespace, self._folder)
        started = OperatorProcess(["-m", "tiltyard_operator"], environment, log)
        self._started.append(started)
        return started.await_work()

    def stop(self) -> None:
        """End those that still run."""
        for operator in self._started:
            operator.kill()


def _environment(plane: ControlPlane, namespace: str, folder: Path) -> dict[str, str]:
    kubectl = Kubectl(plane.kubectl, plane.kubeconfig, namespace)
    deployment = kubectl.get("deployment", ACCOUNT)
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    said = {"name": f"{ACCOUNT}-0", "namespace": namespace}
    environment = {
        one["name"]: one["value"]
        if "value" in one
        else FIELDS[one["valueFrom"]["fieldRef"]["fieldPath"]].format(**said)
        for one in container["env"]
    }
    token = kubectl("create", "token", ACCOUNT).strip()
    kubeconfig = plane.write_kubeconfig(folder / f"{namespace}.kubeconfig", token)
    return environment | {
        "PATH": os.environ["PATH"],
        "KUBECONFIG": str(kubeconfig),
        "TILTYARD_LISTEN": "0",
    }
