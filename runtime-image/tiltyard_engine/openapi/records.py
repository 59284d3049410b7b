"""Describes `/pipelines/NAME`."""

from collections.abc import Mapping, Sequence

from tiltyard_api.plan import Plan
from tiltyard_engine.codecs.formats import Format
from tiltyard_engine.openapi import schemas
from tiltyard_engine.openapi.schemas import Operations, Schema


def operations(plans: Mapping[str, Plan], formats: Sequence[Format]) -> Operations:
    """What the paths of rows do; `plans` by path, the first of the formats being JSON."""
    others: dict[str, Schema] = {known.media: {} for known in formats[1:]}
    paths: dict[str, Schema] = {
        path: {"post": _infer(path, plan, others)} for path, plan in plans.items()
    }
    listed: Schema = {"type": "array", "items": {"type": "object"}}
    for what in ("pipelines", "models"):
        shape = {"type": "object", "required": [what], "properties": {what: listed}}
        paths[f"/{what}"] = schemas.page(f"The {what} that are loaded.", f"list-{what}", shape)
    return paths


def _infer(path: str, plan: Plan, others: Mapping[str, Schema]) -> Schema:
    rows = {"type": "array", "items": schemas.row(plan), "minItems": 1}
    parameters = [
        _parameter("dataset[]", "What to answer: `out`, `out.NAME`, `*`, and so on."),
        _parameter("dataset.exclude[]", "What to leave out."),
        _choice("dataset.separator", "Dotted names instead of nested objects.", ["."]),
        _choice("dataset.flatten", "The same.", ["true", "false"]),
        *schemas.COMMON_HEADERS,
    ]
    bodies = {"application/json": rows, **others}
    answers = {"application/json": _answer(plan), **others}
    return {
        "operationId": "infer" + path.replace("/", "-"),
        "summary": f"Run rows through {plan.pipeline}.",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {media: {"schema": schema} for media, schema in bodies.items()},
        },
        "responses": {
            "200": schemas.answer("One object a row, in their order.", answers),
            **schemas.refusals(schemas.PROBLEM),
        },
    }


def _answer(plan: Plan) -> Schema:
    groups: Schema = {
        "time": {"type": "integer", "description": "Milliseconds since 1970."},
        "in": {"type": "object", "description": "The row as it was sent."},
        "out": schemas.outputs(plan.steps[-1].outputs),
        "anomaly": {"type": "object", "properties": _anomalies(plan)},
        "metadata": {"type": "object"},
    }
    for name, tensors in schemas.challengers(plan):
        beside = schemas.outputs(tensors)
        beside["properties"] = {
            column: {"anyOf": [schema, {"type": "null"}]}
            for column, schema in beside["properties"].items()
        }
        groups[f"out_{name}"] = beside
    return {"type": "array", "items": {"type": "object", "properties": groups}}


def _anomalies(plan: Plan) -> Schema:
    found: Schema = {one.name: {"type": ["boolean", "null"]} for one in plan.validations or ()}
    return {"count": {"type": "integer", "minimum": 0}, **found}


def _parameter(name: str, description: str) -> Schema:
    return {
        "name": name,
        "in": "query",
        "description": description,
        "schema": {"type": "array", "items": {"type": "string"}},
    }


def _choice(name: str, description: str, choices: Sequence[str]) -> Schema:
    schema = {"type": "string", "enum": list(choices)}
    return {"name": name, "in": "query", "description": description, "schema": schema}
