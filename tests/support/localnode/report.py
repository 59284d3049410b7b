"""What a kubelet reports of a pod, from the states of its containers."""

from collections.abc import Sequence
from typing import Any

from cluster.api import STRATEGIC, Api
from localnode.container import Container, timestamp

Object = dict[str, Any]


class Report:
    """Writes the status of one pod, when it changed."""

    def __init__(self, api: Api, pod: Object, address: str) -> None:
        metadata = pod["metadata"]
        self.path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        self._api = api
        self._uid = metadata["uid"]
        self._fixed = {
            "hostIP": address,
            "hostIPs": [{"ip": address}],
            "podIP": address,
            "podIPs": [{"ip": address}],
            "startTime": timestamp(),
        }
        self._since: dict[str, tuple[str, str]] = {}
        self._sent: Object = {}

    def send(self, policy: str, init: Sequence[Container], main: Sequence[Container]) -> None:
        """Write the status, unless it is what was written last."""
        of = phase(policy, init, main)
        status = self._fixed | {
            "phase": of,
            "conditions": [self._dated(one) for one in conditions(of, init, main)],
            "initContainerStatuses": [container.status() for container in init],
            "containerStatuses": [container.status() for container in main],
        }
        if status != self._sent:
            body = {"metadata": {"uid": self._uid}, "status": status}
            self._api.call("PATCH", f"{self.path}/status", body, STRATEGIC)
            self._sent = status

    def heard(self, pod: Object) -> None:
        """Write the status anew where others, who took the node for lost, say that it serves not.

        Args:
            pod: as the API server has it now.

        """
        there, sent = (_readiness(one) for one in (pod.get("status", {}), self._sent))
        if sent == "True" and there != sent:
            self._sent = {}

    def _dated(self, condition: Object) -> Object:
        """Add since when a condition has the status that it has."""
        status, since = self._since.get(condition["type"], ("", ""))
        if status != condition["status"]:
            since = timestamp()
            self._since[condition["type"]] = condition["status"], since
        return condition | {"lastTransitionTime": since}


def phase(policy: str, init: Sequence[Container], main: Sequence[Container]) -> str:
    """Give the phase of a pod."""
    if policy == "Never" and any(container.ended for container in init):
        return "Failed"
    if any(container.ended != 0 for container in init):
        return "Pending"
    codes = [container.ended for container in main]
    if policy != "Always" and all(code == 0 for code in codes):
        return "Succeeded"
    if policy == "Never" and None not in codes:
        return "Failed"
    begun = any(one.running or one.ended is not None or one.restarts for one in main)
    return "Running" if begun else "Pending"


def conditions(of: str, init: Sequence[Container], main: Sequence[Container]) -> list[Object]:
    """Give the conditions of a pod in a phase, without their times."""
    uninitialized = [container.spec["name"] for container in init if container.ended != 0]
    unready = [container.spec["name"] for container in main if not container.ready]
    why_not = ("PodCompleted", []) if of == "Succeeded" else ("ContainersNotReady", unready)
    found = {
        "PodReadyToStartContainers": ("", []),
        "Initialized": ("ContainersNotInitialized", uninitialized),
        "ContainersReady": why_not,
        "Ready": why_not,
    }
    return [
        {
            "type": name,
            "status": "False" if reason == "PodCompleted" or names else "True",
            "reason": reason if reason == "PodCompleted" or names else None,
            "message": f"containers with that status: {', '.join(names)}" if names else None,
        }
        for name, (reason, names) in found.items()
    ]


def _readiness(status: Object) -> str:
    found = status.get("conditions", ())
    return next((str(one["status"]) for one in found if one["type"] == "Ready"), "")
