"""The CRD of the Pipeline, translated from its pydantic models.

Kubernetes wants *structural* schemas: no references, no null, no word that it does not know. A word
of JSON schema that this translation does not know is refused, so that none is lost unseen; so is
whatever has no upper bound, which would make the CEL rules too dear for the API server.

Defaults of scalars are the API server's too: they are written into the object when it is created,
so that a later version with another default does not roll what runs. A default object becomes `{}`
and takes its content from the defaults within.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from tiltyard_api.names import GROUP, VERSION
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.status import PipelineStatus

Schema = dict[str, Any]

_SUBRESOURCES = {
    "status": {},
    "scale": {
        "specReplicasPath": ".spec.deployment.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    },
}

_READY = '.status.conditions[?(@.type=="Ready")].status'

_COLUMNS = [
    {"name": "Phase", "type": "string", "jsonPath": ".status.phase"},
    {"name": "Ready", "type": "string", "jsonPath": _READY},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.readyReplicas"},
    {"name": "Version", "type": "string", "jsonPath": ".status.version.active"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]


class UntranslatableSchemaError(Exception):
    """A model says something that a CRD cannot: change the model or teach the translation."""


def crd() -> Schema:
    """The CustomResourceDefinition of the Pipeline."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"pipelines.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": "Pipeline",
                "listKind": "PipelineList",
                "plural": "pipelines",
                "singular": "pipeline",
                "shortNames": ["typ"],
                "categories": ["tiltyard"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": _SUBRESOURCES,
                    "additionalPrinterColumns": _COLUMNS,
                    "schema": {"openAPIV3Schema": _root()},
                }
            ],
        },
    }


def _root() -> Schema:
    """Schema of a whole object.

    The envelope is the API server's own: of the metadata a CRD may mention no more than the name,
    which the rules look at.
    """
    root = structural(Pipeline)
    envelope: Schema = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
    # `status` from the first moment on: `kubectl wait` then waits instead of failing.
    status = structural(PipelineStatus) | {"default": {"observedGeneration": -1}}
    properties = {**envelope, "spec": root["properties"]["spec"], "status": status}
    return {**root, "properties": properties, "required": ["spec"]}


def structural(model: type[BaseModel]) -> Schema:
    """Structural schema of a model.

    Raises:
        UntranslatableSchemaError: the model cannot be said so; names the field.

    """
    schema = model.model_json_schema()
    return _translated(schema, schema.pop("$defs", {}), model.__name__)


def _translated(schema: Schema, definitions: Mapping[str, Schema], path: str) -> Schema:
    result: Schema = {}
    for word, value in _inlined(schema, definitions, path).items():
        if word == "properties":
            result[word] = {
                name: _translated(field, definitions, f"{path}.{name}")
                for name, field in value.items()
            }
        elif word in ("items", "additionalProperties") and isinstance(value, dict):
            result[word] = _translated(value, definitions, f"{path}[]")
        elif not _is_dropped(word, value):
            result |= _word(word, value, path)
    _check_bounded(result, path)
    return result


def _is_dropped(word: str, value: object) -> bool:
    """Whether a word may go: a name made by pydantic, and what a CRD does by itself or cannot."""
    return (
        word == "title"
        or (word == "default" and value is None)  # absent
        or (word == "additionalProperties" and isinstance(value, bool))  # the rest is pruned
        or word == "propertyNames"  # keys of mappings are checked by the contract only
    )


def _word(word: str, value: Any, path: str) -> Schema:  # noqa: ANN401 - as JSON schema has it
    match word:
        case "description":
            return {word: " ".join(value.split())}
        case "const":
            return {"enum": [value]}
        case "exclusiveMinimum":
            return {"minimum": _whole(value), word: True}
        case "default" if isinstance(value, dict):
            return {word: {}}
        case _ if word in _SAME or (word, value) == ("format", "date-time"):
            return {word: _whole(value)}
        case _:
            raise UntranslatableSchemaError(f"{path}: {word} is unknown here: {value!r}")


_SAME = {
    "type",
    "default",
    "enum",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "maxProperties",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-validations",
}
"""Words that mean the same in a CRD."""


def _inlined(schema: Schema, definitions: Mapping[str, Schema], path: str) -> Schema:
    """Put definitions in place of references, and the value in place of "value or null"."""
    rest = dict(schema)
    if "$ref" in schema:
        name = rest.pop("$ref").removeprefix("#/$defs/")
        return _inlined(definitions[name] | rest, definitions, path)
    if "anyOf" in schema:
        choices = [choice for choice in rest.pop("anyOf") if choice != {"type": "null"}]
        if len(choices) != 1:
            raise UntranslatableSchemaError(f"{path}: a value has one type in a CRD")
        return _inlined(choices[0] | rest, definitions, path)
    return rest


def _whole(value: object) -> object:
    """Return a number without a fraction as an integer: 1000 instead of 1000.0."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


_BOUNDS = {
    "string": {"maxLength", "enum", "format"},
    "array": {"maxItems"},
    "object": {"maxProperties", "properties"},
}


def _check_bounded(schema: Schema, path: str) -> None:
    wanted = _BOUNDS.get(schema["type"])
    if wanted and wanted.isdisjoint(schema):
        raise UntranslatableSchemaError(f"{path}: {schema['type']} without a bound")
