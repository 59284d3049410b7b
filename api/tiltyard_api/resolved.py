"""What a model's artifact turned out to be once it was fetched and tried."""

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract
from tiltyard_api.v1alpha1.models import SHA256_PATTERN, ModelEntry


class GraphTensor(Contract):
    """An input or output as the graph declares it.

    It is told in the 4 KiB of a pod's last words, which bounds it, and kept in a status.
    """

    model_config = ConfigDict(extra="ignore")

    name: str = Field(max_length=4096)
    type: str = Field(max_length=4096)
    """A `TensorType`, or the runtime's own word for what no tensor can hold."""

    shape: tuple[int, ...] = Field(max_length=1024)
    """All dimensions, rows included; -1 where the graph leaves the length open."""


class ResolvedModel(Contract):
    """Facts about an artifact that plans are compiled from."""

    digest: str = Field(pattern=SHA256_PATTERN)
    """SHA-256 of the artifact's bytes."""

    size: int = Field(ge=0)
    """Bytes of the artifact."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]


class ModelToResolve(Contract):
    """A model of a manifest."""

    folder: str
    """What a relative `file:` source starts from."""

    entry: ModelEntry


class ResolveRequest(Contract):
    """What the resolver reads from its standard input."""

    models: tuple[ModelToResolve, ...]


class Resolution(Contract):
    """What was found of one model: facts, or a sentence that says what is wrong."""

    resolved: ResolvedModel | None = None
    fault: str | None = None


class ResolveReport(Contract):
    """What the resolver writes to its standard output: one entry a model, in the order asked."""

    models: tuple[Resolution, ...]
