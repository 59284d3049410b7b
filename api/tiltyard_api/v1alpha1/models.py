"""A model as a manifest describes it: where its bytes come from and what goes in and out."""

import json
import re
from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from tiltyard_api.base import BY_NAME, Contract, cel
from tiltyard_api.quantities import Duration, Quantity, quantity_bytes
from tiltyard_api.tensors import TensorType

SHA256_PATTERN = "^[0-9a-f]{64}$"
URI_PATTERN = r"^(file:|(pvc|https?|s3|gs|az|oci|hf)://).+$"
IMMUTABLE_PATTERN = (
    r"^oci://.+@sha256:[0-9a-f]{64}(#|$)|^hf://[^@]+@[0-9a-f]{40}/"
    r"|^(s3|az)://.+\?versionId=.+|^gs://.+\?generation=.+"
)
SECRET_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"  # noqa: S105 - of its name
NAME_PATTERN = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH = 50
"""Longest name of a Pipeline or Model: every derived name then fits into 63 characters."""

DEFAULT_MEMORY = "512Mi"
DEFAULT_WORKERS = 1
ENGINE_MEMORY = "256Mi"
"""What the engine itself is left of a pod's memory, beside the workers of Python models."""

WORKERS_FIT = (
    f"the engine ({ENGINE_MEMORY}) and the workers of Python models need more memory:"
    " raise deployment.memory, or lower memory or workers"
)

Label = Annotated[str, Field(pattern=NAME_PATTERN, max_length=40)]
"""A DNS label: lower-case letters, digits and '-', starting with a letter."""

TensorName = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class Framework(StrEnum):
    """What runs a model."""

    ONNX = "onnx"
    PYTHON = "python"


class Batch(StrEnum):
    """How the rows of a request reach a model."""

    ROWS = "rows"
    SINGLE = "single"


class Source(Contract):
    """Where a model's bytes come from."""

    uri: str = Field(pattern=URI_PATTERN, max_length=2048)
    """`file:PATH`, `pvc://CLAIM/PATH`, `https://`, `s3://`, `gs://`, `az://`, `oci://` or `hf://`."""

    sha256: str | None = Field(default=None, pattern=SHA256_PATTERN, max_length=64)
    """Digest that the bytes must have; anything else is refused."""

    secret_name: str | None = Field(default=None, pattern=SECRET_PATTERN, max_length=253)
    """Secret of the namespace that holds what the source is read with."""

    @property
    def immutable(self) -> bool:
        """Whether the uri names these bytes and no later ones."""
        return re.search(IMMUTABLE_PATTERN, self.uri) is not None


class Tensor(Contract):
    """One input or output of a model."""

    name: TensorName
    """How callers name it."""

    type: TensorType

    shape: tuple[Annotated[int, Field(ge=-1, le=2**31 - 1)], ...] | None = Field(
        default=None, max_length=8
    )
    """Lengths of one row's dimensions, -1 for any. Without it: as the graph says."""

    from_: TensorName | None = Field(default=None, alias="from")
    """The graph's own name, where callers use another."""


class InputTensor(Tensor):
    """One input of a model."""

    columns: tuple[TensorName, ...] | None = Field(default=None, min_length=1, max_length=1024)
    """Scalar columns of the records, stacked in this order into one `[rows, k]` tensor."""


class ModelConfiguration(Contract):
    """How a model is run, wherever its description stands."""

    inputs: tuple[InputTensor, ...] | None = Field(
        default=None, min_length=1, max_length=256, json_schema_extra=BY_NAME
    )
    """Signature of what goes in. Optional for `onnx`: the graph says; `python` needs it."""

    outputs: tuple[Tensor, ...] | None = Field(
        default=None, min_length=1, max_length=256, json_schema_extra=BY_NAME
    )
    """Signature of what comes out. Optional for `onnx`: the graph says; `python` needs it."""

    batch: Batch = Batch.ROWS
    """`single`: one row a call, the whole output is the row's value."""

    threads: int = Field(default=1, ge=1, le=64)
    """Threads of one call (intra-op)."""

    timeout: Duration = "5s"
    """Past it the caller gets 504 and the variant an error."""

    memory: Quantity | None = None
    """Python models: most memory of one worker, `512Mi` where nothing is said."""

    workers: int | None = Field(default=None, ge=1, le=16)
    """Python models: processes of one engine, 1 where nothing is said."""


def workers_bytes(memory: str | None, workers: int | None) -> int:
    """Memory that the workers of one Python model may take together."""
    return quantity_bytes(memory or DEFAULT_MEMORY) * (workers or DEFAULT_WORKERS)


_PYTHON = "has(self.framework) && self.framework == 'python'"
_OTHER = "has(self.framework) && self.framework != 'python'"
PYTHON_RULES = (
    (
        f"!({_PYTHON}) || has(self.inputs) && has(self.outputs)",
        "a Python model must say what goes in and what comes out: list inputs and outputs",
    ),
    (
        f"!({_OTHER}) || !has(self.memory) && !has(self.workers)",
        "memory and workers are for Python models, which run in workers of their own: remove them",
    ),
)
"""For the API server: what Python models need, and what nobody else has."""


class ModelSpec(ModelConfiguration):
    """A model without a name: what a Model object holds."""

    model_config = ConfigDict(json_schema_extra=cel(*PYTHON_RULES))

    framework: Framework
    source: Source


class ModelEntry(ModelSpec):
    """A model in full, under the name that its Pipeline gives it."""

    name: Label


class ModelRef(Contract):
    """Names a Model of the same namespace."""

    name: str = Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)


CONFIGURED = {
    field.alias or name: field.default for name, field in ModelConfiguration.model_fields.items()
}
"""Fields that say how a model is run, by the names of the manifest, and their defaults."""

WHERE_CONFIGURED = (
    "the Model that modelRef names says how it is run:"
    f" remove {', '.join(CONFIGURED)}, or set them there"
)


def _configured_here() -> str:
    """CEL: whether any of these fields says more than its default."""
    return " || ".join(
        f"has(self.{name})" if default is None else f"self.{name} != {json.dumps(default)}"
        for name, default in CONFIGURED.items()
    )


class ListedModel(ModelConfiguration):
    """A model of a Pipeline: described in place, or a Model that is an object of its own."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.modelRef) || has(self.framework) && has(self.source)",
                "a model needs framework and source, or modelRef: add them",
            ),
            (
                "!has(self.modelRef) || !has(self.framework) && !has(self.source)",
                "a model is described here or by a Model: keep framework and source, or modelRef",
            ),
            (
                f"!has(self.modelRef) || !({_configured_here()})",
                WHERE_CONFIGURED,
            ),
            *PYTHON_RULES,
        )
    )

    name: Label
    framework: Framework | None = None
    source: Source | None = None
    model_ref: ModelRef | None = None
    """A Model of the namespace, in place of everything but the name."""

    @property
    def entry(self) -> ModelEntry | None:
        """The model in full; None while all that is known is which Model it refers to."""
        if self.framework is None or self.source is None:
            return None
        return ModelEntry(**{name: getattr(self, name) for name in ModelEntry.model_fields})
