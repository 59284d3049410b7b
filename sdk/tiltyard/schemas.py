"""What goes into a model and comes out, as callers write it: an Arrow schema, or plain entries."""

from collections.abc import Mapping, Sequence
from typing import Any

from tiltyard.failure import Failure
from tiltyard_api.tensors import ANY_LENGTH, TensorType

Field = Any
"""A field of an Arrow schema: pyarrow is the caller's, and ships no types."""

Schema = Any
"""A pyarrow.Schema, or a list of entries as `inputs` of a manifest holds them."""

ARROW_NAMES = {
    "halffloat": TensorType.FLOAT16,
    "float": TensorType.FLOAT32,
    "double": TensorType.FLOAT64,
    "large_string": TensorType.STRING,
}
"""Where Arrow writes a type otherwise than manifests do."""


def tensors(schema: Schema | None) -> list[dict[str, Any]] | None:
    """Give the entries of a manifest that a schema means.

    Raises:
        Failure: it is no schema, or has a type that no tensor has.

    """
    if schema is None:
        return None
    if hasattr(schema, "names") and hasattr(schema, "field"):
        return [_of_arrow(schema.field(name)) for name in schema.names]
    if isinstance(schema, Sequence) and all(isinstance(one, Mapping) for one in schema):
        return [dict(one) for one in schema]
    raise Failure(
        f"{type(schema).__name__} is no schema: give a pyarrow.Schema, or a list such as"
        " [{'name': 'count', 'type': 'int32', 'shape': [-1]}]"
    )


def _of_arrow(field: Field) -> dict[str, Any]:
    shape = []
    kind = field.type
    while hasattr(kind, "value_type"):
        shape.append(getattr(kind, "list_size", ANY_LENGTH))
        kind = kind.value_type
    try:
        name = ARROW_NAMES.get(str(kind)) or TensorType(str(kind))
    except ValueError:
        raise Failure(
            f"column {field.name!r} of the schema is {field.type}, which no tensor is:"
            f" use {', '.join(TensorType)}, or lists of them"
        ) from None
    entry: dict[str, Any] = {"name": field.name, "type": name.value}
    return entry | ({"shape": shape} if shape else {})
