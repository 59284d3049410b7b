"""A namespace with an operator that may be broken: its node, its way to the API server."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import rests
from cluster.api import Api
from cluster.plane import ControlPlane
from faultproxy.proxy import FaultProxy
from kubectl import Kubectl
from localnode.node import LABEL, LocalNode, running_node
from operators import OperatorProcess, Operators
from snapshots import owned
from waiting import await_that

Object = dict[str, Any]

QUIET_SECONDS = 3.0
"""Without a write: longer than any pause that a reconcile makes by itself while it gets there."""

SETTLED_SECONDS = 150.0
"""Enough for a busy machine. What is promised, and what it took, is told by `rests`."""


class Ground:
    """What a fault experiment needs; see `ground`."""

    def __init__(
        self,
        kubectl: Kubectl,
        api: Api,
        node: LocalNode,
        proxy: FaultProxy,
        operators: Operators,
        audit_log: Path,
        **settings: str,
    ) -> None:
        self.kubectl = kubectl
        self.api = api
        self.node = node
        self.proxy = proxy
        self.audit_log = audit_log
        self.starts = 0
        self._operators = operators
        self._settings = settings
        self._wanted = True
        self._stopping = threading.Event()
        self.operator = self._start()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def kill(self) -> None:
        """Kill the operator. As a kubelet would, the ground starts it again."""
        self.operator.kill()

    def down(self) -> None:
        """Kill the operator and leave it so."""
        self._wanted = False
        self.operator.kill()

    def up(self) -> None:
        """Start the operator again, after `down`."""
        self._wanted = True

    def pipeline(self, name: str) -> Object:
        """Read a Pipeline."""
        path = f"/apis/tiltyard.dev/v1alpha1/namespaces/{self.kubectl.namespace}/pipelines/{name}"
        return self.api.call("GET", path)

    def settle(self, name: str, seconds: float = SETTLED_SECONDS) -> None:
        """Wait until a Pipeline is ready in its generation and nobody writes any more."""
        begun = time.monotonic()
        end = begun + seconds
        seen, since = -1, begun
        while time.monotonic() - since < QUIET_SECONDS:
            assert time.monotonic() < end, self._unsettled(name)
            writes = len(self.proxy.writes)
            if writes != seen or not self._ready(name) or not self.operator.running:
                seen, since = writes, time.monotonic()
            time.sleep(0.2)
        rests.note(self.audit_log, since - begun)

    def forget(self, name: str) -> None:
        """Delete a Pipeline, if there is one, and wait until nothing of it is left."""
        self.proxy.forget()
        self.kubectl("delete", "pipeline", name, "--ignore-not-found", "--timeout=120s")
        await_that(lambda: not owned(self.kubectl, name), 120)

    def stop(self) -> None:
        """End the operator."""
        self._stopping.set()
        self._keeper.join()
        self._operators.stop()

    def _start(self) -> OperatorProcess:
        self.starts += 1
        return self._operators.start(url=self.proxy.url, **self._settings)

    def _keep(self) -> None:
        while not self._stopping.wait(0.05):
            if self._wanted and not self.operator.running:
                self.operator = self._start()

    def _ready(self, name: str) -> bool:
        pipeline = self.pipeline(name)
        found = pipeline.get("status", {}).get("conditions", ())
        ready: Object = next((one for one in found if one["type"] == "Ready"), {})
        current = ready.get("observedGeneration") == pipeline["metadata"]["generation"]
        return bool(current and ready["status"] == "True")

    def _unsettled(self, name: str) -> str:
        """Say all that is known of a Pipeline that does not come to rest."""
        status = self.kubectl("get", "pipeline", name, "--output=jsonpath={.status}")
        writes = "\n".join(map(str, self.proxy.writes[-30:]))
        lines = "\n".join(map(str, self.operator.lines()[-30:]))
        return f"{name} did not settle: {status}\n{writes}\n{lines}\n{self.node.logs()[-4000:]}"


@contextmanager
def ground(
    plane: ControlPlane, namespace: str, directory: Path, **settings: str
) -> Iterator[Ground]:
    """Give a namespace of its own with a node, a proxy, and an operator that is kept alive."""
    directory.mkdir()
    everywhere = Kubectl(plane.kubectl, plane.kubeconfig, "default")
    selector = f"scheduler.alpha.kubernetes.io/node-selector={LABEL}={namespace}"
    everywhere("create", "namespace", namespace)
    everywhere("annotate", "namespace", namespace, selector)
    kubectl = Kubectl(plane.kubectl, plane.kubeconfig, namespace)
    with (
        closing(plane.api()) as api,
        running_node(plane, namespace, directory / "node") as node,
        FaultProxy().running(plane) as proxy,
    ):
        made = Ground(
            kubectl,
            api,
            node,
            proxy,
            Operators(plane, namespace, directory),
            plane.audit_log,
            **settings,
        )
        try:
            made.operator.await_work()
            yield made
        finally:
            made.stop()
            everywhere("delete", "namespace", namespace, "--wait=false", "--ignore-not-found")
