"""The CRDs, translated from the pydantic models of the resources.

Kubernetes wants *structural* schemas: no references, no null, no word that it does not know. A word
of JSON schema that this translation does not know is refused, so that none is lost unseen; so is
whatever has no upper bound, which would make the CEL rules too dear for the API server.

Defaults of scalars are the API server's too: they are written into the object when it is created,
so that a later version with another default does not roll what runs. A default object becomes `{}`
and takes its content from the defaults within.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from tiltyard_api.names import GROUP, VERSION
from tiltyard_api.v1alpha1.model import Model, ModelStatus
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.status import PipelineStatus

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind of object: how it is called, what it is made of, what `kubectl get` shows of it."""

    model: type[BaseModel]
    status: type[BaseModel]
    plural: str
    short: str
    columns: Sequence[Schema]
    scale: Schema | None = None


def _column(name: str, path: str, kind: str = "string", *, wide: bool = False) -> Schema:
    """Give a column of `kubectl get`; a wide one is shown by `-o wide` alone."""
    column = {"name": name, "type": kind, "jsonPath": path}
    return column | {"priority": 1} if wide else column


_READY = '.status.conditions[?(@.type=="Ready")]'
_AGE = _column("Age", ".metadata.creationTimestamp", "date")
_CONCLUSIVE = '.status.conditions[?(@.type=="ExperimentConclusive")]'
_REASON = _column("Reason", f"{_READY}.reason", wide=True)

RESOURCES = (
    Resource(
        model=Model,
        status=ModelStatus,
        plural="models",
        short="tym",
        columns=[
            _column("Framework", ".spec.framework"),
            _column("Digest", ".status.shortDigest"),
            _column("Size", ".status.size", "integer"),
            _column("Ready", f"{_READY}.status"),
            _column("Used by", ".status.users", "integer"),
            _AGE,
            _REASON,
            _column("Version", ".status.version", wide=True),
        ],
    ),
    Resource(
        model=Pipeline,
        status=PipelineStatus,
        plural="pipelines",
        short="typ",
        columns=[
            _column("Phase", ".status.phase"),
            _column("Ready", f"{_READY}.status"),
            _column("Replicas", ".status.readyReplicas", "integer"),
            _column("Synced", ".status.routing.synced"),
            _column("Version", ".status.version.active"),
            _AGE,
            _REASON,
            _column("Verdict", f"{_CONCLUSIVE}.reason", wide=True),
            _column("Revision", ".status.routing.revision", "integer", wide=True),
            _column("Endpoint", ".status.endpoint", wide=True),
        ],
        scale={
            "specReplicasPath": ".spec.deployment.replicas",
            "statusReplicasPath": ".status.replicas",
            "labelSelectorPath": ".status.selector",
        },
    ),
)


class UntranslatableSchemaError(Exception):
    """A model says something that a CRD cannot: change the model or teach the translation."""


def crd(resource: Resource) -> Schema:
    """The CustomResourceDefinition of a kind of object."""
    kind = resource.model.__name__
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{resource.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": resource.plural,
                "singular": kind.lower(),
                "shortNames": [resource.short],
                "categories": ["tiltyard"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}}
                    | ({"scale": resource.scale} if resource.scale else {}),
                    "additionalPrinterColumns": list(resource.columns),
                    "schema": {"openAPIV3Schema": _root(resource)},
                }
            ],
        },
    }


def _root(resource: Resource) -> Schema:
    """Schema of a whole object.

    The envelope is the API server's own: of the metadata a CRD may mention no more than the name,
    which the rules look at.
    """
    root = structural(resource.model)
    envelope: Schema = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object", "properties": {"name": {"type": "string"}}},
    }
    # `status` from the first moment on: `kubectl wait` then waits instead of failing.
    status = structural(resource.status) | {"default": {"observedGeneration": -1}}
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
        elif word == "patternProperties":  # a CRD cannot say what keys look like
            (entry,) = value.values()
            result["additionalProperties"] = _translated(entry, definitions, f"{path}[]")
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
