"""What every pod of ours has: no rights, no writable root, and what the user adds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from tiltyard_api.artifacts import CLAIMS, SECRETS
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_api.v1alpha1.volumes import OUR_VOLUMES
from tiltyard_operator.kinds import Object

USER = 65532
"""Numeric, so that the kubelet can tell that it is not root."""

CLAIM_SCHEME = "pvc://"

POD_FIELDS = (
    "nodeSelector",
    "tolerations",
    "affinity",
    "topologySpreadConstraints",
    "priorityClassName",
    "imagePullSecrets",
)
"""Parts of the user's override that are fields of a pod."""

POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": USER,
    "runAsGroup": USER,
    "fsGroup": USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}

CONTAINER_SECURITY = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "readOnlyRootFilesystem": True,
}


def override_of(deployment: Deployment) -> Object:
    """Plain form of `deployment.pod`; empty where the user adds nothing."""
    if deployment.pod is None:
        return {}
    return deployment.pod.model_dump(mode="json", by_alias=True, exclude_none=True)


def pod_fields(override: Object) -> Object:
    """Fields of a pod that hold for every one of ours."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": POD_SECURITY,
        **{field: override[field] for field in POD_FIELDS if field in override},
    }


def environment(override: Object) -> Object:
    """Variables of the user's for a container; nothing where there are none."""
    return {"env": override["env"]} if override.get("env") else {}


def resources(cpus: str, memory: str) -> Object:
    """Requests = limits: what a pod is promised is what it may use."""
    amounts = {"cpu": cpus, "memory": memory}
    return {"requests": amounts, "limits": dict(amounts)}


def cpu_quantity(cpus: float) -> str:
    """Cores as a quantity, in thousandths, which is as fine as Kubernetes counts."""
    return f"{max(1, round(cpus * 1000))}m"


def scratch(name: str, size: str) -> Object:
    """Give a folder that lives as long as its pod and is bounded."""
    return {"name": OUR_VOLUMES + name, "emptyDir": {"sizeLimit": size}}


def mount(name: str, path: str, *, read_only: bool = False) -> Object:
    """Put one of our volumes into a container."""
    return {
        "name": OUR_VOLUMES + name,
        "mountPath": path,
        **({"readOnly": True} if read_only else {}),
    }


@dataclass(frozen=True, slots=True)
class Sources:
    """What the sources of models need in a container that fetches, and in no other."""

    secrets: tuple[str, ...]
    claims: tuple[str, ...]

    @classmethod
    def of(cls, uris: Iterable[str], secrets: Iterable[str | None]) -> Self:
        """Collect what a list of sources names, each once."""
        claims = {
            uri.removeprefix(CLAIM_SCHEME).partition("/")[0]
            for uri in uris
            if uri.startswith(CLAIM_SCHEME)
        }
        return cls(tuple(sorted({name for name in secrets if name})), tuple(sorted(claims)))

    def volumes(self) -> list[Object]:
        """What is mounted.

        Without a claim a pod waits. Without a Secret it begins, so that the fetcher can say which
        is missing: a kubelet tells that in events alone, and whoever reads the status waits.
        """
        return [
            {
                "name": f"{OUR_VOLUMES}secret-{index}",
                "secret": {"secretName": name, "defaultMode": 0o440, "optional": True},
            }
            for index, name in enumerate(self.secrets)
        ] + [
            {
                "name": f"{OUR_VOLUMES}claim-{index}",
                "persistentVolumeClaim": {"claimName": name, "readOnly": True},
            }
            for index, name in enumerate(self.claims)
        ]

    def mounts(self) -> list[Object]:
        """Where."""
        return [
            mount(f"{kind}-{index}", f"{folder}/{name}", read_only=True)
            for kind, folder, names in (
                ("secret", SECRETS, self.secrets),
                ("claim", CLAIMS, self.claims),
            )
            for index, name in enumerate(names)
        ]
