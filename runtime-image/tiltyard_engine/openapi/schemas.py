"""JSON Schema of tensors, rows and headers, as every face's description uses them."""

from collections.abc import Mapping, Sequence
from typing import Any

from tiltyard_api.plan import Plan, PlanShadow
from tiltyard_api.reasons import Reason
from tiltyard_api.tensors import ANY_LENGTH, TensorSpec, TensorType
from tiltyard_engine.codecs.oip import beside
from tiltyard_engine.columns import DTYPES, bounds

Schema = dict[str, Any]
Operations = Mapping[str, Schema]
"""What paths do, by path."""

REASON: Schema = {"type": "string", "enum": [reason.value for reason in Reason]}

PROBLEM: Schema = {
    "description": "It was refused: `reason` is for programs, `error` for people.",
    "type": "object",
    "required": ["code", "status", "error", "source", "reason"],
    "properties": {
        "code": {"type": "integer"},
        "status": {"const": "error"},
        "error": {"type": "string"},
        "source": {"const": "engine"},
        "reason": REASON,
        "field": {"type": "string"},
        "row": {"type": "integer", "minimum": 0},
    },
}


def value(tensor_type: TensorType, shape: Sequence[int], *, given: bool) -> Schema:
    """One row of a tensor in JSON.

    Args:
        tensor_type: of the elements.
        shape: of one row.
        given: whether the engine writes it, rather than reads it.

    """
    if tuple(shape) == (1,) and not given:
        return {"anyOf": [_element(tensor_type), _lists(_element(tensor_type), shape)]}
    return _lists(_element(tensor_type), shape)


def _element(tensor_type: TensorType) -> Schema:
    dtype = DTYPES[tensor_type]
    if dtype.kind == "O":
        return {"type": "string"}
    if dtype.kind == "b":
        return {"type": "boolean"}
    low, high = bounds(tensor_type)
    if dtype.kind == "f":
        return {"type": ["number", "null"], "minimum": low, "maximum": high}
    return {"type": "integer", "minimum": low, "maximum": high}


def _lists(schema: Schema, shape: Sequence[int]) -> Schema:
    for length in reversed(shape):
        schema = {"type": "array", "items": schema}
        if length != ANY_LENGTH:
            schema |= {"minItems": length, "maxItems": length}
    return schema


def row(plan: Plan) -> Schema:
    """One record of a request."""
    properties = {
        column: value(tensor.type, () if tensor.stacked else tensor.shape, given=False)
        for tensor in plan.request
        for column in tensor.columns
    }
    keys: Schema = {field: {"type": ["string", "number"]} for field in plan.key_fields}
    required = list(properties)
    return {"type": "object", "required": required, "properties": keys | properties}


def outputs(tensors: Sequence[TensorSpec]) -> Schema:
    """One row of the outputs of a step or a model."""
    properties = {tensor.name: value(tensor.type, tensor.shape, given=True) for tensor in tensors}
    return {"type": "object", "properties": properties}


def challengers(plan: Plan) -> list[tuple[str, Sequence[TensorSpec]]]:
    """Models that answer beside the champion, with their outputs."""
    models = {model.name: model for model in plan.models}
    return [
        (name, models[name].outputs)
        for step in plan.steps
        if isinstance(step, PlanShadow) and step.respond
        for name in step.challengers
    ]


def all_outputs(plan: Plan) -> Schema:
    """One row of everything that answers, in one object."""
    together = outputs(plan.steps[-1].outputs)
    for name, tensors in challengers(plan):
        for tensor in tensors:
            schema = value(tensor.type, tensor.shape, given=True)
            together["properties"][beside(name, tensor.name)] = {
                "anyOf": [schema, {"type": "null"}]
            }
    return together


def header(name: str, description: str, **schema: object) -> Schema:
    """A header that a request may carry."""
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string", **schema},
    }


COMMON_HEADERS = [
    header(
        "X-Tiltyard-Inference-Id",
        "The client's own id, the same when it tries again; draws where no hash key does.",
        minLength=1,
        maxLength=64,
    ),
    header("X-Tiltyard-Variant", "Variants asked for: `step=model`, several with commas."),
    header("X-Request-Id", "Repeated in the answer."),
]

ANSWER_HEADERS: Schema = {
    "X-Tiltyard-Inference-Id": {
        "description": "Id of the answer.",
        "schema": {"type": "string"},
    },
    "X-Tiltyard-Variant": {
        "description": "What served: `step=model`, with numbers of rows where it was divided.",
        "schema": {"type": "string"},
    },
    "X-Tiltyard-Anomalies": {
        "description": "Rows that validations object to, where any does: `dear=2`, with commas.",
        "schema": {"type": "string"},
    },
}


def answer(description: str, content: Mapping[str, Schema]) -> Schema:
    """A good answer, by media type."""
    return {
        "description": description,
        "headers": ANSWER_HEADERS,
        "content": {media: {"schema": schema} for media, schema in content.items()},
    }


def refusals(schema: Schema) -> Schema:
    """Answers to what is refused."""
    content = {"application/json": {"schema": schema}}
    return {
        "4XX": {"description": "The request is at fault; the body says how.", "content": content},
        "5XX": {"description": "The engine or a model is at fault.", "content": content},
    }


def page(summary: str, name: str, schema: Schema, statuses: Sequence[int] = (200,)) -> Schema:
    """A path that takes GET."""
    content = {"application/json": {"schema": schema}}
    told = {200: "So it is.", 503: "Not now."}
    responses = {str(s): {"description": told[s], "content": content} for s in statuses}
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}
