"""Describes `/endpoints/NAME/invocations`."""

from collections.abc import Mapping

from tiltyard_api.plan import Plan
from tiltyard_engine.openapi import schemas
from tiltyard_engine.openapi.schemas import Operations, Schema

_FAILURE: Schema = {
    "description": "It was refused: `x-amzn-ErrorType` and `reason` are for programs.",
    "type": "object",
    "required": ["message", "reason"],
    "properties": {
        "message": {"type": "string"},
        "reason": schemas.REASON,
        "field": {"type": "string"},
        "row": {"type": "integer", "minimum": 0},
        "OriginalStatusCode": {"type": "integer"},
        "OriginalMessage": {"type": "string"},
    },
}


def operations(plans: Mapping[str, Plan]) -> Operations:
    """What the paths do; `plans` by path."""
    paths: dict[str, Schema] = {path: {"post": _invoke(path, plan)} for path, plan in plans.items()}
    statuses = {"200": {"description": "It serves."}, "503": {"description": "It does not."}}
    paths["/ping"] = {
        "get": {"operationId": "ping", "summary": "Whether it serves.", "responses": statuses}
    }
    return paths


def _invoke(path: str, plan: Plan) -> Schema:
    row = schemas.row(plan)
    rows = {"type": "array", "items": row, "minItems": 1}
    instances = {"type": "array", "minItems": 1}
    columns = {"type": "array", "items": {"type": "string"}}
    data = {"type": "array", "items": {"type": "array"}}
    body = {
        "anyOf": [
            rows,
            {
                "type": "object",
                "required": ["instances"],
                "properties": {"instances": instances},
            },
            {
                "type": "object",
                "required": ["columns", "data"],
                "properties": {"columns": columns, "data": data},
            },
        ]
    }
    prediction = {"type": "array", "items": schemas.all_outputs(plan)}
    answer = {
        "type": "object",
        "required": ["predictions"],
        "properties": {"predictions": prediction},
    }
    text: Schema = {"type": "string"}
    return {
        "operationId": "invoke" + path.replace("/", "-"),
        "summary": f"Run rows through {plan.pipeline}, as an endpoint of SageMaker.",
        "parameters": [
            schemas.header("X-Amzn-SageMaker-Target-Variant", "The variant that shall serve."),
            schemas.header(
                "X-Amzn-SageMaker-Inference-Id",
                "The client's own id; draws where no hash key does.",
                minLength=1,
                maxLength=64,
            ),
            schemas.header(
                "X-Amzn-SageMaker-Custom-Attributes", "Repeated in the answer.", maxLength=1024
            ),
            *schemas.COMMON_HEADERS,
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body},
                "text/csv": {"schema": text},
            },
        },
        "responses": {
            "200": schemas.answer(
                "One prediction a row, in their order.",
                {"application/json": answer, "text/csv": text},
            ),
            **schemas.refusals(_FAILURE),
        },
    }
