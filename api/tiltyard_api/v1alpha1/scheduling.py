"""Where pods may run: the fields of Kubernetes of the same names, with bounds."""

from typing import Annotated, Literal

from pydantic import Field

from tiltyard_api.base import Contract

KEY_PATTERN = r"^([a-z0-9]([-.a-z0-9]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
VALUE_PATTERN = "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"

Key = Annotated[str, Field(pattern=KEY_PATTERN, max_length=317)]
"""Key of a label, annotation or taint, with or without a prefix."""

Value = Annotated[str, Field(pattern=VALUE_PATTERN, max_length=63)]
"""Value of a label or taint."""

Values = Annotated[tuple[Value, ...], Field(max_length=32)]
Weight = Annotated[int, Field(ge=1, le=100)]


class Toleration(Contract):
    """A taint of nodes that the pods put up with."""

    key: Key | None = None
    operator: Literal["Exists", "Equal"] | None = None
    value: Value | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    toleration_seconds: int | None = None


class LabelRequirement(Contract):
    """A condition on one label."""

    key: Key
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: Values | None = None


class LabelSelector(Contract):
    """Objects by their labels."""

    match_labels: dict[Key, Value] | None = Field(default=None, max_length=16)
    match_expressions: tuple[LabelRequirement, ...] | None = Field(default=None, max_length=16)


class TopologySpread(Contract):
    """How evenly pods are spread over one kind of place."""

    max_skew: int = Field(ge=1, le=1000)
    topology_key: Key
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"]
    label_selector: LabelSelector | None = None
    match_label_keys: tuple[Key, ...] | None = Field(default=None, max_length=8)
    min_domains: int | None = Field(default=None, ge=1, le=1000)
    node_affinity_policy: Literal["Honor", "Ignore"] | None = None
    node_taints_policy: Literal["Honor", "Ignore"] | None = None


class NodeRequirement(Contract):
    """A condition on one label or field of a node."""

    key: Key
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"]
    values: Values | None = None


class NodeTerm(Contract):
    """Conditions that must all hold of a node."""

    match_expressions: tuple[NodeRequirement, ...] | None = Field(default=None, max_length=16)


class PreferredNodes(Contract):
    """Nodes that are better than others."""

    weight: Weight
    preference: NodeTerm


class RequiredNodes(Contract):
    """Nodes that come into question: one of the terms must hold."""

    node_selector_terms: tuple[NodeTerm, ...] = Field(min_length=1, max_length=16)


class NodeAffinity(Contract):
    """Which nodes the pods run on."""

    required_during_scheduling_ignored_during_execution: RequiredNodes | None = None
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredNodes, ...] | None = Field(
        default=None, max_length=16
    )


class PodTerm(Contract):
    """Other pods, and how near is near."""

    topology_key: Key
    label_selector: LabelSelector | None = None
    namespaces: tuple[Annotated[str, Field(max_length=63)], ...] | None = Field(
        default=None, max_length=16
    )


class PreferredPods(Contract):
    """Other pods that it is better to be near to, or away from."""

    weight: Weight
    pod_affinity_term: PodTerm


class PodAffinity(Contract):
    """Which other pods the pods run near to, or away from."""

    required_during_scheduling_ignored_during_execution: tuple[PodTerm, ...] | None = Field(
        default=None, max_length=8
    )
    preferred_during_scheduling_ignored_during_execution: tuple[PreferredPods, ...] | None = Field(
        default=None, max_length=8
    )


class Affinity(Contract):
    """Which nodes and which other pods the pods run near to, or away from."""

    node_affinity: NodeAffinity | None = None
    pod_affinity: PodAffinity | None = None
    pod_anti_affinity: PodAffinity | None = None
