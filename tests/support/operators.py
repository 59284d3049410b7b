"""The operator as tests run it: its client alone, or the whole process under the shipped rights."""

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config
from kubernetes.client import Configuration

from cluster.api import Api
from cluster.plane import ControlPlane
from cluster.processes import Child
from kubectl import Kubectl
from tiltyard_operator.cluster import Bounds, Cluster
from tiltyard_operator.kinds import PIPELINE
from waiting import await_that

CONFIG = Path(__file__).parents[2] / "config"
ACCOUNT = "tiltyard-operator"
PLAIN = (str(Path(__file__).with_name("plain_operator.py")),)
"""Command of an operator with the simplest story; see there."""


def rights(scope: str) -> list[dict[str, Any]]:
    """Give the account and the rights that we ship, for a whole `cluster` or one `namespace`."""
    documents = yaml.safe_load_all((CONFIG / scope / "tiltyard.yaml").read_text())
    return [one for one in documents if "rbac" in one["apiVersion"] or "Account" in one["kind"]]


def pipeline(name: str = "p") -> dict[str, Any]:
    """Give a Pipeline that admission takes, of a model that nobody can fetch."""
    models = [{"name": "m", "framework": "onnx", "source": {"uri": "https://models/m.onnx"}}]
    spec = {"models": models, "steps": [{"name": "s", "model": "m"}]}
    kind = {"apiVersion": PIPELINE.api_version, "kind": PIPELINE.kind}
    return {**kind, "metadata": {"name": name}, "spec": spec}


def create(api: Api, namespace: str, name: str = "p") -> dict[str, Any]:
    """Create such a Pipeline."""
    return api.call("POST", PIPELINE.path(namespace), pipeline(name))


def configuration(kubeconfig: Path) -> Configuration:
    """Configuration of the user that a kubeconfig names."""
    found = Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=found)
    return found


def cluster_at(
    url: str,
    bounds: Bounds = Bounds(connect=0.4, silence=0.4, total=1, pauses=(0.01, 0.02)),  # noqa: B008 - frozen
    may_write: Callable[[], bool] = lambda: True,
) -> Cluster:
    """Client of a server that needs no credentials."""
    found = Configuration()
    found.host = url
    return Cluster(found, may_write, bounds)


class OperatorProcess:
    """One operator."""

    def __init__(self, command: list[str], environment: dict[str, str], log: Path) -> None:
        self._child = Child([sys.executable, *command], log, environment)
        self._log = log

    def lines(self) -> list[dict[str, Any]]:
        """What it logged; every line is JSON."""
        whole = self._log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def said(self, phrase: str) -> bool:
        """Whether it logged a line of that message."""
        return any(line["message"] == phrase for line in self.lines())

    @property
    def port(self) -> int:
        """Its own port, once it has started."""
        return next(int(line["port"]) for line in self.lines() if line["message"] == "started")

    def ask(self, path: str) -> str:
        """Ask its own port."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def count(self, series: str) -> float:
        """Value of one series of its metrics; 0 where there is none."""
        found = [line for line in self.ask("/metrics").splitlines() if line.startswith(series)]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._child.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._child.running

    def await_work(self) -> "OperatorProcess":
        """Wait until it has the Lease and watches."""
        await_that(lambda: not self.running or self.said("watching"))
        assert self.running, self._child.last_words()
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._child.signal(number)

    def ended(self, seconds: float = 30) -> int:
        """Exit code, once it has ended by itself."""
        return self._child.process.wait(seconds)

    def stop(self) -> int:
        """End it as a kubelet does; its exit code."""
        return self._child.stop(30)

    def kill(self) -> None:
        """End it as a lost node does."""
        self._child.kill()


class Operators:
    """Operators that run in one namespace, with the rights that we ship and no others."""

    def __init__(
        self,
        plane: ControlPlane,
        namespace: str,
        directory: Path,
        scope: str = "namespace",
    ) -> None:
        self._plane = plane
        self._namespace = namespace
        self._directory = directory
        self._kubectl = Kubectl(plane.kubectl, plane.kubeconfig, namespace)
        self._kubectl.apply(*rights(scope))
        self._token = self._kubectl("create", "token", ACCOUNT).strip()
        self._started: list[OperatorProcess] = []

    def start(
        self,
        name: str = "operator-0",
        command: Sequence[str] = ("-m", "tiltyard_operator"),
        url: str | None = None,
        **settings: str,
    ) -> OperatorProcess:
        """Start one, by way of another address where one is given."""
        number = len(self._started)
        kubeconfig = self._directory / f"{name}-{number}.kubeconfig"
        self._plane.write_kubeconfig(kubeconfig, self._token, url)
        environment = {
            "PATH": os.environ["PATH"],
            "KUBECONFIG": str(kubeconfig),
            "POD_NAME": name,
            "POD_NAMESPACE": self._namespace,
            "TILTYARD_NAMESPACES": self._namespace,
            "TILTYARD_ENGINE_IMAGE": "tiltyard-engine:test",
            "TILTYARD_LISTEN": "0",
            **settings,
        }
        started = OperatorProcess([*command], environment, self._directory / f"{name}-{number}.log")
        self._started.append(started)
        return started

    def stop(self) -> None:
        """End those that still run."""
        for operator in self._started:
            operator.kill()
