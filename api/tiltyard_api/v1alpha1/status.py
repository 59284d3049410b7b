"""The status of a Pipeline, and what every status is made of: told by the operator, never input.

Every field is optional, so that an older operator's status stays readable.
"""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from tiltyard_api.base import BY_NAME, SchemaExtra
from tiltyard_api.v1alpha1.models import Label
from tiltyard_api.v1alpha1.reported import Hash, Reported, Text
from tiltyard_api.v1alpha1.stage import BY_GUARD, GuardEvidence, Latch, Stage
from tiltyard_api.v1alpha1.verdict import Verdict


class Condition(Reported):
    """One fact about the object, as Kubernetes' own conditions spell it."""

    type: str = Field(max_length=64)
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(max_length=64)
    """Why, in one word that stays the same."""

    message: str = Field(max_length=4096)
    """Why, for people: what is wrong and what to do."""

    last_transition_time: AwareDatetime
    """When `status` last became another."""

    observed_generation: int | None = None
    """Generation of the spec that the condition speaks of."""


BY_TYPE: SchemaExtra = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
}

Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=BY_TYPE)]


class VersionStatus(Reported):
    """The versions that are wanted and that serve."""

    desired: Hash | None = None
    """Version that the spec makes with the models as they were found."""

    active: Hash | None = None
    """Version that serves."""

    hash: Hash | None = None
    """Hash of the plan that is wanted."""


class RoutingStatus(Reported):
    """Which routing table the pods were last seen to run."""

    revision: int | None = None
    """Grows with every change of weights or sampling."""

    hash: Hash | None = None
    """Hash of the table that is wanted."""

    synced: str | None = Field(default=None, max_length=16)
    """Pods on this revision of all that serve, as `3/3`."""

    laggards: tuple[Text, ...] | None = Field(default=None, max_length=32)
    """Pods that run another revision."""

    observed_at: AwareDatetime | None = None
    """When the pods were last asked."""


class ListedModelStatus(Reported):
    """What a model's artifact turned out to be."""

    name: Label
    digest: Hash | None = None
    """SHA-256 of the artifact."""

    size: int | None = None
    """Bytes of the artifact."""

    version: Hash | None = None
    """Made of name, digest and configuration: the same everywhere."""

    framework: str | None = Field(default=None, max_length=16)


class VariantStatus(Reported):
    """How a variant, champion or challenger of a step fares."""

    model: Label
    weight: float | None = None
    """Weight that the manifest wants."""

    effective: float | None = None
    """Share in force, 0 to 1."""

    requests: int | None = None
    """Requests that it was given, by the pods that serve, since they started."""

    units: int | None = None
    """Different hash keys among them; the requests, where there is no key."""

    error_share: float | None = None
    """Share of the units that failed in a canary's stage; else of the requests."""

    p50: float | None = None
    """Median time of the model's calls, in seconds."""

    p99: float | None = None
    """Time in seconds that one call of a hundred exceeds."""

    match_rate: float | None = None
    """Share of a challenger's answers that agree with the champion's, where they are compared."""


class StepStatus(Reported):
    """How a step fares."""

    name: Label
    kind: str | None = Field(default=None, max_length=16)
    variants: tuple[VariantStatus, ...] | None = Field(default=None, max_length=16)
    stage: Stage | None = None
    """Where the ramp of a canary stands."""

    latched: Latch | None = None
    """Why a canary gives its candidate nothing any more."""

    evidence: tuple[GuardEvidence, ...] | None = Field(
        default=None, max_length=8, json_schema_extra=BY_GUARD
    )
    """What the guards of a canary have seen in this stage."""

    verdict: Verdict | None = None
    """What the experiment about this step has shown so far."""


class PipelineStatus(Reported):
    """What the operator last saw."""

    observed_generation: int = -1
    """Generation of the spec that the status speaks of; -1 before the operator saw any."""

    phase: (
        Literal["Pending", "Loading", "Rolling", "Running", "Suspended", "Degraded", "Stalled"]
        | None
    ) = None
    conditions: Conditions | None = None
    replicas: int | None = None
    """Pods that there are."""

    ready_replicas: int | None = None
    """Pods that serve."""

    selector: Text | None = None
    """Label selector of the pods, for the scale subresource."""

    version: VersionStatus | None = None
    endpoint: Text | None = None
    """URL inside the cluster that requests are posted to."""

    routing: RoutingStatus | None = None
    models: tuple[ListedModelStatus, ...] | None = Field(
        default=None, max_length=32, json_schema_extra=BY_NAME
    )
    steps: tuple[StepStatus, ...] | None = Field(
        default=None, max_length=16, json_schema_extra=BY_NAME
    )
