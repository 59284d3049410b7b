"""A node without a kubelet: its pods run as processes of this machine.

What it honours: init containers, restarts, probes, volumes of configuration, the downward API,
termination messages, graceful ends, claims on volumes that are folders of this machine. What it
does not: images, limits, users, volumes that change, networks of their own (each pod has an address
of the loopback interface, and sees all the others; no address of that kind may stand in an
EndpointSlice, so Services lead nowhere), `kubectl logs` and `kubectl exec`.
"""

import itertools
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import urllib3

from cluster.api import MERGE, ApiError
from cluster.plane import ControlPlane
from localnode.commands import Place
from localnode.container import timestamp
from localnode.pod import Pod

Object = dict[str, Any]

LABEL = "tiltyard.test/node"
"""Label of a node, by which a namespace claims it."""

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_RENEW_SECONDS = 10.0
_CAPACITY = {"cpu": "512", "memory": "4Ti", "pods": "1000"}


class LocalNode:
    """A node of a control plane, and what a test may ask it to do wrong."""

    def __init__(self, plane: ControlPlane, name: str, home: Path) -> None:
        self.name = name
        self.refused_images: set[str] = set()
        """Images that cannot be pulled."""

        self.detours: list[int] = []
        """Ports of this machine by which the next pods that go on for ever reach the API server,
        one each."""

        self._api = plane.api()
        self._path = f"/api/v1/nodes/{name}"
        self._home = home
        server = urlsplit(plane.url)
        self._base = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        self._addresses = _addresses()
        self._pods: dict[str, Pod] = {}
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=work, name=f"{name}-{work.__name__}", daemon=True)
            for work in (self._follow, self._renew)
        ]

    def start(self) -> None:
        """Register, and begin to run what is bound to it."""
        labels = {"kubernetes.io/hostname": self.name, LABEL: self.name}
        about = {"metadata": {"name": self.name, "labels": labels}}
        self._api.call("POST", "/api/v1/nodes", about)
        self._say_ready()
        lease = {"metadata": {"name": self.name}, "spec": self._lease()}
        self._api.call("POST", _LEASES, lease)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End all pods at once, and go."""
        self._stopping.set()
        for pod in list(self._pods.values()):
            pod.kill()
        with suppress(urllib3.exceptions.HTTPError, ApiError):
            for pod in list(self._pods.values()):
                metadata = pod.object["metadata"]
                path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
                with suppress(ApiError):
                    self._api.call("DELETE", path, {"gracePeriodSeconds": 0})
            self._api.call("DELETE", self._path)
            self._api.call("DELETE", f"{_LEASES}/{self.name}")
        self._api.close()

    def cordon(self) -> None:
        """Take no more pods: the scheduler says of new ones that they are unschedulable."""
        self._api.call("PATCH", self._path, {"spec": {"unschedulable": True}}, MERGE)

    def uncordon(self) -> None:
        """Take pods again."""
        self._api.call("PATCH", self._path, {"spec": {"unschedulable": None}}, MERGE)

    def freeze(self, pod: str) -> None:
        """Let a pod hang: it keeps its connections and answers nothing."""
        self._named(pod).hold(signal.SIGSTOP)

    def thaw(self, pod: str) -> None:
        """Let a frozen pod go on."""
        self._named(pod).hold(signal.SIGCONT)

    def crash(self, pod: str) -> None:
        """Kill the processes of a pod."""
        self._named(pod).hold(signal.SIGKILL)

    def log(self, pod: str, container: str) -> str:
        """Give what a container wrote."""
        logs = {one.spec["name"]: one.log for one in self._named(pod).containers}
        path = logs[container]
        return path.read_text() if path.exists() else ""

    def logs(self) -> str:
        """Give what all containers wrote, for a test that failed."""
        return "\n".join(
            f"--- {path.parent.name} {path.name}\n{path.read_text(errors='replace')}"
            for path in sorted(self._home.rglob("*.log"))
        )

    def _named(self, name: str) -> Pod:
        """Find a pod that runs by its name."""
        return next(pod for pod in self._pods.values() if pod.object["metadata"]["name"] == name)

    def _follow(self) -> None:
        """Follow the pods that are bound to this node."""
        bound = f"/api/v1/pods?fieldSelector=spec.nodeName={self.name}"
        while not self._stopping.is_set():
            with suppress(urllib3.exceptions.HTTPError, ApiError):
                found = self._api.call("GET", bound)
                there = {pod["metadata"]["uid"] for pod in found["items"]}
                for pod in found["items"]:
                    self._see(pod)
                for uid in set(self._pods) - there:
                    self._forget(uid)
                version = found["metadata"]["resourceVersion"]
                for event in self._api.watch(bound, version, seconds=60):
                    if self._stopping.is_set() or event["type"] == "ERROR":
                        break
                    if event["type"] == "DELETED":
                        self._forget(event["object"]["metadata"]["uid"])
                    else:
                        self._see(event["object"])
            self._stopping.wait(0.2)

    def _see(self, pod: Object) -> None:
        uid = pod["metadata"]["uid"]
        if uid in self._pods:
            self._pods[uid].see(pod)
            return
        base = self._base | {"HOSTNAME": pod["metadata"]["name"]}
        if self.detours and pod["spec"]["restartPolicy"] == "Always":
            base["KUBERNETES_SERVICE_PORT"] = str(self.detours.pop(0))
        place = Place(next(self._addresses), base, mounts={}, sources={})
        home = self._home / f"{pod['metadata']['name']}-{uid[:8]}"
        self._pods[uid] = Pod(self._api, pod, place, home, self.refused_images)
        self._pods[uid].start()

    def _forget(self, uid: str) -> None:
        pod = self._pods.pop(uid, None)
        if pod:
            pod.kill()

    def _renew(self) -> None:
        """Say that this node lives."""
        while not self._stopping.wait(_RENEW_SECONDS):
            with suppress(urllib3.exceptions.HTTPError, ApiError):
                path = f"{_LEASES}/{self.name}"
                self._api.call("PATCH", path, {"spec": self._lease()}, MERGE)
                if not _is_ready(self._api.call("GET", self._path)):
                    self._say_ready()  # while nobody heard of it, it counted as lost

    def _say_ready(self) -> None:
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        times = {"lastHeartbeatTime": timestamp(), "lastTransitionTime": timestamp()}
        status = {"capacity": _CAPACITY, "allocatable": _CAPACITY, "conditions": [ready | times]}
        self._api.call("PATCH", f"{self._path}/status", {"status": status}, MERGE)

    def _lease(self) -> Object:
        now = f"{timestamp()[:-1]}.000000Z"
        return {"holderIdentity": self.name, "leaseDurationSeconds": 40, "renewTime": now}


def _is_ready(obj: Object) -> bool:
    found = obj.get("status", {}).get("conditions", ())
    return any((one["type"], one["status"]) == ("Ready", "True") for one in found)


@contextmanager
def running_node(plane: ControlPlane, name: str, home: Path) -> Iterator[LocalNode]:
    """Run a node until the block ends."""
    node = LocalNode(plane, name, home)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def _addresses() -> Iterator[str]:
    """Addresses of the loopback interface that no other node is likely to give out."""
    second, third = random.randrange(2, 255), random.randrange(255)
    for number in itertools.count():
        yield f"127.{second}.{(third + number // 254) % 255}.{number % 254 + 1}"
