"""Kinds of objects that the operator reads or writes, and where the API server has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from tiltyard_api.names import API_VERSION

Object = dict[str, Any]
"""A Kubernetes object as the API server sends it. Never a typed model of the client: those
refuse answers that lack a field which they call required."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """API group; empty for the core."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Version within the group."""
        return self.api_version.rpartition("/")[2]

    @property
    def root(self) -> str:
        """Path of the group and version."""
        return f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"

    def path(self, namespace: str | None, name: str = "", part: str = "") -> str:
        """Path of an object or of a part of it, of a namespace's objects, or of all."""
        within = ["namespaces", namespace] if namespace else []
        names = [*within, self.plural, name, part]
        return "/".join([self.root, *(quote(one, safe="") for one in names if one)])


PIPELINE = Kind(API_VERSION, "Pipeline", "pipelines")
MODEL = Kind(API_VERSION, "Model", "models")

DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
REPLICA_SET = Kind("apps/v1", "ReplicaSet", "replicasets")
REVISION = Kind("apps/v1", "ControllerRevision", "controllerrevisions")
POD = Kind("v1", "Pod", "pods")
SERVICE = Kind("v1", "Service", "services")
CONFIG_MAP = Kind("v1", "ConfigMap", "configmaps")
SERVICE_ACCOUNT = Kind("v1", "ServiceAccount", "serviceaccounts")
EVENT = Kind("v1", "Event", "events")
JOB = Kind("batch/v1", "Job", "jobs")
ROLE = Kind("rbac.authorization.k8s.io/v1", "Role", "roles")
ROLE_BINDING = Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings")
AUTOSCALER = Kind("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
POD_MONITOR = Kind("monitoring.coreos.com/v1", "PodMonitor", "podmonitors")
"""Of the Prometheus operator: a cluster may not have it."""

KINDS: Mapping[tuple[str, str], Kind] = {
    (one.api_version, one.kind): one for one in tuple(globals().values()) if isinstance(one, Kind)
}

OWNED = (
    DEPLOYMENT,
    REVISION,
    POD,
    SERVICE,
    CONFIG_MAP,
    SERVICE_ACCOUNT,
    JOB,
    ROLE,
    ROLE_BINDING,
    AUTOSCALER,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
)
"""What every cluster has of the kinds that belong to Pipelines and Models."""


def kind_of(obj: Object) -> Kind:
    """Kind of an object."""
    return KINDS[obj["apiVersion"], obj["kind"]]


def version_of(obj: Object) -> int:
    """Give the resourceVersion of an object or a list, which grows; 0 where it is no number."""
    version = str((obj.get("metadata") or {}).get("resourceVersion", ""))
    return int(version) if version.isdecimal() else 0
