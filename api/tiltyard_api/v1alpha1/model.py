"""The Model resource: an artifact as an object of its own, so that several Pipelines share it."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract
from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.v1alpha1.metadata import Metadata, name_rules
from tiltyard_api.v1alpha1.models import NAME_LENGTH, NAME_PATTERN, ModelSpec
from tiltyard_api.v1alpha1.reported import Hash, Reported
from tiltyard_api.v1alpha1.status import Conditions


class Model(Contract):
    """An artifact that Pipelines of its namespace share: framework, source and signature."""

    model_config = ConfigDict(json_schema_extra=name_rules("Model"))

    api_version: Literal["tiltyard.dev/v1alpha1"]
    kind: Literal["Model"]
    metadata: Metadata
    spec: ModelSpec


Signature = Annotated[tuple[GraphTensor, ...], Field(max_length=256)]


SHORT = 12
"""Characters of a digest that people tell models apart by."""


class ModelStatus(Reported):
    """What the artifact turned out to be, and who uses it."""

    observed_generation: int = -1
    """Generation of the spec that the status speaks of; -1 before the operator saw any."""

    digest: Hash | None = None
    """SHA-256 of the artifact that was found."""

    short_digest: str | None = Field(default=None, max_length=SHORT)
    """Its first characters, for the column of `kubectl get`, which cannot cut."""

    size: int | None = None
    """Bytes of the artifact."""

    version: Hash | None = None
    """Made of name, digest and configuration: the same everywhere."""

    inputs: Signature | None = None
    """What goes in, as the artifact says."""

    outputs: Signature | None = None
    """What comes out, as the artifact says."""

    address: str | None = Field(default=None, max_length=2048)
    """Immutable address of these bytes, where the store has one."""

    used_by: (
        tuple[Annotated[str, Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)], ...] | None
    ) = Field(default=None, max_length=100)
    """Pipelines that refer to it, in the order of their names; the first hundred."""

    users: int | None = None
    """How many Pipelines refer to it."""

    conditions: Conditions | None = None

    def resolved(self) -> ResolvedModel | None:
        """Facts that plans are compiled from; None before they are known."""
        if None in (self.digest, self.size, self.inputs, self.outputs):
            return None
        return ResolvedModel.model_validate(
            {name: getattr(self, name) for name in ResolvedModel.model_fields}
        )

    def with_resolved(self, resolved: ResolvedModel) -> Self:
        """Return the same status with other facts."""
        short = resolved.digest[:SHORT]
        return self.model_copy(update=dict(resolved) | {"short_digest": short})
