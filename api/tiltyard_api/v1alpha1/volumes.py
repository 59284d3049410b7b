"""Folders that may be added to the engine's pods; none reaches into the node."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, begins_with_none, cel, one_of
from tiltyard_api.quantities import Quantity
from tiltyard_api.v1alpha1.metadata import NAMESPACE_PATTERN
from tiltyard_api.v1alpha1.scheduling import Key

DNS_PATTERN = r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$"
PATH_PATTERN = r"^(/\.?[A-Za-z0-9_-][A-Za-z0-9._-]*)+$"

ObjectName = Annotated[str, Field(pattern=DNS_PATTERN, max_length=253)]
"""Name of an object of Kubernetes."""

VolumeName = Annotated[str, Field(pattern=NAMESPACE_PATTERN, max_length=63)]

VOLUMES = ("configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected", "csi")
WHAT_IS_PROJECTED = ("serviceAccountToken", "configMap", "secret")

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

VOLUME_TAKEN = f"what begins with {OUR_VOLUMES} is the engine's own: rename the volume"
PATH_TAKEN = "the engine has files there: mount it elsewhere, such as below /mnt"


def _apart_from_ours(path: str) -> str:
    """CEL: a path lies neither within nor around one of ours."""
    ours = ", ".join(repr(one) for one in OUR_PATHS)
    within = f"({path} + '/').startsWith(ours + '/')"
    around = f"(ours + '/').startsWith({path} + '/')"
    return f"[{ours}].all(ours, !{within} && !{around})"


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
                one_of(*WHAT_IS_PROJECTED),
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
                one_of(*VOLUMES),
                f"a volume has exactly one kind: one of {', '.join(VOLUMES)}",
            ),
            (
                begins_with_none("self.name", OUR_VOLUMES),
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
