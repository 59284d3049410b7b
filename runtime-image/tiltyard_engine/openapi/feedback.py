"""Describes `/feedback`."""

from tiltyard_engine.openapi import schemas
from tiltyard_engine.openapi.schemas import Operations, Schema

_ONE: Schema = {
    "type": "object",
    "required": ["inferenceId", "metric", "value"],
    "additionalProperties": False,
    "properties": {
        "inferenceId": {"type": "string", "description": "Of the answer, or of its row."},
        "metric": {"type": "string", "description": "A metric of the Pipeline's experiment."},
        "value": {"type": ["number", "boolean"]},
        "row": {"type": ["integer", "null"], "minimum": 0},
        "item": {
            "type": ["integer", "null"],
            "minimum": 0,
            "description": "Place in a list; where lists are interleaved it is needed.",
        },
    },
}
_TAKEN: Schema = {
    "type": "object",
    "required": ["accepted", "refused"],
    "properties": {
        "accepted": {"type": "integer", "minimum": 0},
        "refused": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "index": {"type": "integer"},
                    "status": {"type": "integer"},
                    "reason": {"type": "string"},
                },
            },
        },
    },
}


def operations() -> Operations:
    """What the path does."""
    many: Schema = {"type": "array", "items": _ONE, "maxItems": 10_000}
    body: Schema = {"anyOf": [_ONE, many]}
    feedback: Schema = {
        "operationId": "feedback",
        "summary": "Say what came of answers.",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "202": schemas.answer(
                "What was taken, and what was not.", {"application/json": _TAKEN}
            ),
            **schemas.refusals(schemas.PROBLEM),
        },
    }
    return {"/feedback": {"post": feedback}}
