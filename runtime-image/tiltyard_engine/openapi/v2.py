"""Describes `/v2`."""

from collections.abc import Mapping, Sequence

from tiltyard_api.tensors import ANY_LENGTH
from tiltyard_engine.codecs.oip import Listed, Signature, Slot
from tiltyard_engine.openapi import schemas
from tiltyard_engine.openapi.schemas import Operations, Schema

_WORD: Schema = {"type": "string"}
_LENGTHS: Schema = {"type": "array", "items": {"type": "integer"}}
_PARAMETERS: Schema = {"type": "object"}


def operations(models: Mapping[str, tuple[str, Signature]]) -> Operations:
    """What the paths do; models by the path of each model or version, with its name."""
    ready: Schema = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    live: Schema = {"type": "object", "properties": {"live": {"type": "boolean"}}}
    paths: dict[str, Schema] = {
        "/v2": schemas.page("What the server is.", "v2-server", {"type": "object"}),
        "/v2/health/live": schemas.page("Whether it lives.", "v2-live", live),
        "/v2/health/ready": schemas.page("Whether it serves.", "v2-ready", ready, (200, 503)),
    }
    for path, (name, signature) in models.items():
        tag = path.replace("/", "-").strip("-")
        told = f"What {name} takes and gives."
        paths[path] = schemas.page(told, f"{tag}-metadata", _metadata())
        served = f"Whether {name} serves."
        paths[f"{path}/ready"] = schemas.page(served, f"{tag}-ready", ready, (200, 503))
        paths[f"{path}/infer"] = {"post": _infer(f"{tag}-infer", name, signature)}
    return paths


def _infer(tag: str, name: str, signature: Signature) -> Schema:
    length = schemas.header(
        "Inference-Header-Content-Length",
        "Bytes of JSON before the bytes of binary tensors.",
        pattern="^[0-9]{1,10}$",
    )
    answers = {"application/json": _answer(signature), "application/octet-stream": {}}
    bodies = {"application/json": _request(signature), "application/octet-stream": {}}
    return {
        "operationId": tag,
        "summary": f"Run tensors through {name}.",
        "parameters": [length, *schemas.COMMON_HEADERS],
        "requestBody": {
            "required": True,
            "content": {media: {"schema": schema} for media, schema in bodies.items()},
        },
        "responses": {
            "200": schemas.answer("Tensors, their rows in the order sent.", answers),
            **schemas.refusals(schemas.PROBLEM),
        },
    }


def _request(signature: Signature) -> Schema:
    names = [one.name for one in signature.outputs]
    sent = [_sent(slot) for slot in signature.slots]
    wanted = {
        "type": "object",
        "required": ["name"],
        "properties": {"name": {"enum": names}, "parameters": _PARAMETERS},
    }
    return {
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "id": _WORD,
            "parameters": _PARAMETERS,
            "inputs": {"type": "array", "minItems": 1, "items": {"anyOf": sent}},
            "outputs": {"type": "array", "items": wanted},
        },
    }


def _answer(signature: Signature) -> Schema:
    return {
        "type": "object",
        "required": ["model_name", "outputs", "parameters"],
        "properties": {
            "model_name": _WORD,
            "model_version": _WORD,
            "id": _WORD,
            "parameters": {"type": "object", "properties": {"inference_id": _WORD}},
            "outputs": {"type": "array", "items": {"anyOf": [*map(_given, signature.outputs)]}},
        },
    }


def _sent(slot: Slot) -> Schema:
    """A tensor of a request in JSON. That its data fill its shape, no schema can say."""
    one_wide = slot.shape in ((), (1,))
    inner = (1,) if one_wide else slot.shape
    shape = _shape(inner, minimum=1) | ({"minItems": 1} if one_wide else {})
    told = "`data` has as many elements as `shape` says, flat or nested; else 400 ShapeMismatch."
    needed = ["name", "shape", "datatype", "data"]
    return _tensor(slot.name, slot.datatypes, shape) | {"description": told, "required": needed}


def _given(listed: Listed) -> Schema:
    """A tensor of an answer."""
    return _tensor(listed.name, [listed.datatype], _shape(listed.shape[1:], minimum=0))


def _tensor(name: str, datatypes: Sequence[str], shape: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["name", "shape", "datatype"],
        "properties": {
            "name": {"const": name},
            "shape": shape,
            "datatype": {"enum": list(datatypes)},
            "data": {"type": "array"},
            "parameters": _PARAMETERS,
        },
    }


def _shape(inner: Sequence[int], minimum: int) -> Schema:
    """Lengths, rows first."""
    lengths: list[Schema] = [
        {"type": "integer", "minimum": 0} if one == ANY_LENGTH else {"const": one} for one in inner
    ]
    return {
        "type": "array",
        "prefixItems": [{"type": "integer", "minimum": minimum}, *lengths],
        "minItems": 1 + len(inner),
        "maxItems": 1 + len(inner),
    }


def _metadata() -> Schema:
    tensor = {
        "type": "object",
        "required": ["name", "datatype", "shape"],
        "properties": {"name": _WORD, "datatype": _WORD, "shape": _LENGTHS},
    }
    return {
        "type": "object",
        "required": ["name", "platform", "inputs", "outputs"],
        "properties": {
            "name": _WORD,
            "versions": {"type": "array", "items": _WORD},
            "platform": _WORD,
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": tensor},
        },
    }
