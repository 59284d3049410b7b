"""What a model's artifact turned out to be once it was fetched and tried."""

from pydantic import Field

from tiltyard_api.base import Contract


class GraphTensor(Contract):
    """An input or output as the graph declares it."""

    name: str
    type: str
    """A `TensorType`, or the runtime's own word for what no tensor can hold."""

    shape: tuple[int, ...]
    """All dimensions, rows included; -1 where the graph leaves the length open."""


class ResolvedModel(Contract):
    """Facts about an artifact that plans are compiled from."""

    digest: str = Field(pattern="^[0-9a-f]{64}$")
    """SHA-256 of the artifact's bytes."""

    size: int = Field(ge=0)
    """Bytes of the artifact."""

    inputs: tuple[GraphTensor, ...]
    outputs: tuple[GraphTensor, ...]
