"""How the engine runs in a cluster: how many pods, how large, and what may be added to them.

`pod` is small on purpose. It has the fields that a cluster's own rules ask for, with bounds, and
none that could make the pod something else; what is missing can be set by a policy of the cluster.
Kubernetes checks what these schemas leave open when the Deployment is applied.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tiltyard_api.base import BY_NAME, Contract, SchemaExtra, cel
from tiltyard_api.quantities import Quantity
from tiltyard_api.v1alpha1.metadata import NAMESPACE_PATTERN
from tiltyard_api.v1alpha1.scheduling import Affinity, Key, Toleration, TopologySpread, Value

DNS_PATTERN = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
ENV_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"
PATH_PATTERN = r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"
KEY_PATTERN = r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
VALUE_PATTERN = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

ObjectName = Annotated[str, Field(pattern=DNS_PATTERN, max_length=253)]
"""Name of an object of Kubernetes."""

LabelKey = Annotated[str, Field(pattern=KEY_PATTERN, max_length=317)]
LabelValue = Annotated[str, Field(pattern=VALUE_PATTERN, max_length=63)]

VolumeName = Annotated[str, Field(pattern=NAMESPACE_PATTERN, max_length=63)]

OUR_LABELS = ("tiltyard.dev/", "app.kubernetes.io/")
"""Beginnings of labels and annotations by which pods are found and counted."""

OUR_VARIABLES = ("TILTYARD_", "PYTHON", "LD_")
"""Beginnings of variables that say which code runs and how."""

OUR_VOLUMES = "tiltyard-"
"""Beginning of the names of the engine's own volumes."""

OUR_PATHS = (
    "/bin",
    "/dev",
    "/etc/tiltyard",
    "/lib",
    "/lib64",
    "/opt/tiltyard",
    "/proc",
    "/run/secrets/kubernetes.io",
    "/sbin",
    "/sys",
    "/tmp",  # noqa: S108 - a path of the pod, that nothing else is mounted on
    "/usr",
    "/var/lib/tiltyard",
    "/var/run/secrets/kubernetes.io",
)
"""Where the engine's code and files are: nothing may be mounted on, in or around them."""


VOLUMES = ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "csi")
"""Kinds of volumes, none of which reaches into the node."""

VALUES_FROM = ("secretKeyRef", "configMapKeyRef", "fieldRef")
WHAT_IS_PROJECTED = ("serviceAccountToken", "configMap", "secret")

LABEL_TAKEN = f"what begins with {' or '.join(OUR_LABELS)} is set by the operator: remove it"
VARIABLE_TAKEN = f"what begins with {', '.join(OUR_VARIABLES)} is the engine's own: remove it"
VOLUME_TAKEN = f"what begins with {OUR_VOLUMES} is the engine's own: rename the volume"
PATH_TAKEN = "the engine has files there: mount it elsewhere, such as below /mnt"
NO_SUCH_VOLUME = "a mount names a volume that volumes does not list: add it there"


def _one_of(*kinds: str) -> str:
    """CEL: exactly one of these fields is there."""
    return f"[{', '.join(f'has(self.{kind})' for kind in kinds)}].exists_one(kind, kind)"


def _begins_with_none(name: str, *words: str) -> str:
    """CEL: a text begins with none of these words."""
    return " && ".join(f"!{name}.startsWith('{word}')" for word in words)


def _keys_of_others(field: str) -> str:
    """CEL: a mapping that may be absent has no key of ours."""
    return f"!has(self.{field}) || self.{field}.all(key, {_begins_with_none('key', *OUR_LABELS)})"


def _apart_from_ours(path: str) -> str:
    """CEL: a path lies neither within nor around one of ours."""
    ours = ", ".join(repr(one) for one in OUR_PATHS)
    within = f"({path} + '/').startsWith(ours + '/')"
    around = f"(ours + '/').startsWith({path} + '/')"
    return f"[{ours}].all(ours, !{within} && !{around})"


class KeyOf(Contract):
    """One key of a Secret or ConfigMap."""

    name: ObjectName
    key: str = Field(min_length=1, max_length=253)
    optional: bool | None = None
    """True: the pod starts without it too."""


class FieldOf(Contract):
    """One field of the pod itself."""

    field_path: str = Field(min_length=1, max_length=256)
    """As `metadata.namespace`."""


class ValueFrom(Contract):
    """Where a variable's value comes from."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                _one_of(*VALUES_FROM),
                f"a value comes from one place: one of {', '.join(VALUES_FROM)}",
            )
        )
    )

    secret_key_ref: KeyOf | None = None
    config_map_key_ref: KeyOf | None = None
    field_ref: FieldOf | None = None


class Variable(Contract):
    """A variable of the engine's environment."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!(has(self.value) && has(self.valueFrom))",
                "a variable has one value: keep value or valueFrom",
            ),
            (
                _begins_with_none("self.name", *OUR_VARIABLES),
                VARIABLE_TAKEN,
                ".name",
            ),
        )
    )

    name: str = Field(pattern=ENV_PATTERN, max_length=128)
    value: str | None = Field(default=None, max_length=4096)
    value_from: ValueFrom | None = None
    """A key of a Secret or ConfigMap, or a field of the pod."""


class KeyToPath(Contract):
    """Which key becomes which file."""

    key: str = Field(min_length=1, max_length=253)
    path: str = Field(min_length=1, max_length=253)
    mode: int | None = Field(default=None, ge=0, le=0o777)


Items = Annotated[tuple[KeyToPath, ...], Field(max_length=32)]


class ConfigMapVolume(Contract):
    """Files that are the keys of a ConfigMap."""

    name: ObjectName
    items: Items | None = None
    default_mode: int | None = Field(default=None, ge=0, le=0o777)
    optional: bool | None = None


class SecretVolume(Contract):
    """Files that are the keys of a Secret."""

    secret_name: ObjectName
    items: Items | None = None
    default_mode: int | None = Field(default=None, ge=0, le=0o777)
    optional: bool | None = None


class EmptyDir(Contract):
    """A folder that lives as long as the pod."""

    medium: Literal["", "Memory"] | None = None
    size_limit: Quantity | None = None


class Claim(Contract):
    """A PersistentVolumeClaim of the namespace."""

    claim_name: ObjectName
    read_only: bool | None = None


class TokenProjection(Contract):
    """A token of the pod's service account, for a cloud that trusts it."""

    path: str = Field(min_length=1, max_length=253)
    audience: str | None = Field(default=None, max_length=253)
    expiration_seconds: int | None = Field(default=None, ge=600, le=2**31)


class ObjectProjection(Contract):
    """Keys of a Secret or ConfigMap."""

    name: ObjectName
    items: Items | None = None
    optional: bool | None = None


class Projection(Contract):
    """One source of a projected volume."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                _one_of(*WHAT_IS_PROJECTED),
                f"a source has one kind: one of {', '.join(WHAT_IS_PROJECTED)}",
            )
        )
    )

    service_account_token: TokenProjection | None = None
    config_map: ObjectProjection | None = None
    secret: ObjectProjection | None = None


class Projected(Contract):
    """Several sources in one folder."""

    sources: tuple[Projection, ...] = Field(min_length=1, max_length=8)
    default_mode: int | None = Field(default=None, ge=0, le=0o777)


class Csi(Contract):
    """A volume that a driver on the node makes, such as a store of secrets."""

    driver: ObjectName
    read_only: bool | None = None
    volume_attributes: dict[Key, Annotated[str, Field(max_length=4096)]] | None = Field(
        default=None, max_length=32
    )


class Volume(Contract):
    """A volume of the pod; exactly one kind is set."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                _one_of(*VOLUMES),
                f"a volume has exactly one kind: one of {', '.join(VOLUMES)}",
            ),
            (
                _begins_with_none("self.name", OUR_VOLUMES),
                VOLUME_TAKEN,
                ".name",
            ),
        )
    )

    name: VolumeName
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    empty_dir: EmptyDir | None = None
    persistent_volume_claim: Claim | None = None
    projected: Projected | None = None
    csi: Csi | None = None


class Mount(Contract):
    """Where a volume is seen in the pod."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                _apart_from_ours("self.mountPath"),
                PATH_TAKEN,
                ".mountPath",
            ),
        )
    )

    name: VolumeName
    mount_path: str = Field(pattern=PATH_PATTERN, max_length=256)
    sub_path: str | None = Field(default=None, max_length=256)
    read_only: bool | None = None


class PullSecret(Contract):
    """A Secret by which the engine's image is pulled."""

    name: ObjectName


BY_PATH: SchemaExtra = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["mountPath"],
}


_LISTED = "has(self.volumes) && self.volumes.exists(v, v.name == m.name)"


class Pod(Contract):
    """What is added to the engine's pods."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                _keys_of_others("labels"),
                LABEL_TAKEN,
                ".labels",
            ),
            (
                _keys_of_others("annotations"),
                LABEL_TAKEN,
                ".annotations",
            ),
            (
                f"!has(self.volumeMounts) || self.volumeMounts.all(m, {_LISTED})",
                NO_SUCH_VOLUME,
                ".volumeMounts",
            ),
        )
    )

    labels: dict[LabelKey, LabelValue] | None = Field(default=None, max_length=32)
    """Added to those by which pods are found."""

    annotations: dict[LabelKey, Annotated[str, Field(max_length=4096)]] | None = Field(
        default=None, max_length=32
    )
    """Notes on the pods, such as for a monitor."""

    node_selector: dict[Key, Value] | None = Field(default=None, max_length=32)
    """Labels that a node must have."""

    tolerations: tuple[Toleration, ...] | None = Field(default=None, max_length=16)
    """Taints of nodes that the pods put up with."""

    affinity: Affinity | None = None
    topology_spread_constraints: tuple[TopologySpread, ...] | None = Field(
        default=None, max_length=8
    )
    """How evenly the pods are spread over zones or nodes."""

    priority_class_name: ObjectName | None = None
    """Whose pods give way when a node is full."""

    env: tuple[Variable, ...] | None = Field(default=None, max_length=64, json_schema_extra=BY_NAME)
    """Variables of the engine's containers, such as a proxy or a region."""

    volumes: tuple[Volume, ...] | None = Field(
        default=None, max_length=16, json_schema_extra=BY_NAME
    )
    """Folders for the engine's containers; none reaches into the node."""

    volume_mounts: tuple[Mount, ...] | None = Field(
        default=None, max_length=16, json_schema_extra=BY_PATH
    )
    """Where the engine's containers see the volumes."""

    image_pull_secrets: tuple[PullSecret, ...] | None = Field(
        default=None, max_length=8, json_schema_extra=BY_NAME
    )
    """Secrets by which the engine's image is pulled."""

    service_account_name: ObjectName | None = None
    """An account of yours in place of the Pipeline's own, for the rights that a cloud gives it."""


class Autoscaling(Contract):
    """As many pods as the load of their cpus asks for."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.min <= self.max", "min is above max: lower it or raise max", ".min")
        )
    )

    min: int = Field(ge=1, le=1000)
    """Fewest pods."""

    max: int = Field(ge=1, le=1000)
    """Most pods."""

    cpu_utilization: int = Field(default=70, ge=1, le=100)
    """Percent of their cpus that the pods are kept at."""


class Deployment(Contract):
    """How the engine runs in a cluster. On a laptop nothing but its bounds is used."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!(has(self.replicas) && has(self.autoscaling))",
                "the number of pods is fixed or follows the load: keep replicas or autoscaling",
            )
        )
    )

    replicas: int | None = Field(default=None, ge=0, le=1000)
    """Engine pods; 1 where neither this nor `autoscaling` is set."""

    autoscaling: Autoscaling | None = None
    cpus: float = Field(default=1, gt=0, le=1024)
    """Cores of one pod, request and limit; fractions allowed."""

    memory: Quantity = "1Gi"
    """Memory of one pod, request and limit."""

    pod: Pod | None = None
