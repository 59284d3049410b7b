"""What may be added to the engine's pods.

It is small on purpose: the fields that a cluster's own rules ask for, with bounds, and none that
could make the pod something else; what is missing can be set by a policy of the cluster. Kubernetes
checks what these schemas leave open when the Deployment is applied.
"""

from typing import Annotated

from pydantic import ConfigDict, Field

from tiltyard_api.base import BY_NAME, Contract, SchemaExtra, begins_with_none, cel, one_of
from tiltyard_api.v1alpha1.scheduling import Affinity, Key, Toleration, TopologySpread, Value
from tiltyard_api.v1alpha1.volumes import Mount, ObjectName, Volume

ENV_PATTERN = "^[A-Za-z_][A-Za-z0-9_]*$"

VALUES_FROM = ("secretKeyRef", "configMapKeyRef", "fieldRef")

OUR_LABELS = ("tiltyard.dev/", "app.kubernetes.io/")
"""Beginnings of labels and annotations by which pods are found and counted."""

OUR_VARIABLES = ("TILTYARD_", "PYTHON", "LD_")
"""Beginnings of variables that say which code runs and how."""

LABEL_TAKEN = f"what begins with {' or '.join(OUR_LABELS)} is set by the operator: remove it"
VARIABLE_TAKEN = f"what begins with {', '.join(OUR_VARIABLES)} is the engine's own: remove it"
ONE_VALUE = "a variable has one value: keep value or valueFrom"
NO_SUCH_VOLUME = "a mount names a volume that volumes does not list: add it there"


def _keys_of_others(field: str) -> str:
    """CEL: a mapping that may be absent has no key of ours."""
    return f"!has(self.{field}) || self.{field}.all(key, {begins_with_none('key', *OUR_LABELS)})"


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
                one_of(*VALUES_FROM),
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
                ONE_VALUE,
            ),
            (
                begins_with_none("self.name", *OUR_VARIABLES),
                VARIABLE_TAKEN,
                ".name",
            ),
        )
    )

    name: str = Field(pattern=ENV_PATTERN, max_length=128)
    value: str | None = Field(default=None, max_length=4096)
    value_from: ValueFrom | None = None
    """A key of a Secret or ConfigMap, or a field of the pod."""


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

    labels: dict[Key, Value] | None = Field(default=None, max_length=32)
    """Added to those by which pods are found."""

    annotations: dict[Key, Annotated[str, Field(max_length=4096)]] | None = Field(
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
