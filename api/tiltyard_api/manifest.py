"""Reads a manifest into a Pipeline, or says everything that is wrong with it at once."""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tiltyard_api.base import Contract
from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.quantities import DURATION_PATTERN, QUANTITY_PATTERN
from tiltyard_api.v1alpha1.models import NAME_PATTERN
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.rules import broken_rules
from tiltyard_api.v1alpha1.steps import REFERENCE_PATTERN

PLANNED = {
    "autoscaling": "use replicas",
    "canary": "use a split and change its weights",
    "experiment": "remove it",
    "interleave": "use a split",
    "memory": "it belongs to Python models; use deployment.memory",
    "modelRef": "write framework and source in place",
    "pod": "remove it",
    "records": "remove it",
    "secretName": "use a source that needs no credentials",
    "validations": "remove it",
    "workers": "it belongs to Python models; remove it",
}
"""Fields of the documented surface whose feature this version does not have, with a way around."""

_PATTERNS = {
    NAME_PATTERN: "must be lower-case letters, digits and '-', starting with a letter and not "
    "ending with '-'",
    DURATION_PATTERN: "must be a duration such as 50ms, 10s or 1h30m",
    QUANTITY_PATTERN: "must be a quantity such as 512Mi or 1Gi",
    REFERENCE_PATTERN: "must be request.COLUMN or STEP.OUTPUT",
    "^[0-9a-f]{64}$": "must be the SHA-256 as 64 hex digits in lower case (see sha256sum)",
    r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$": "must be the name of a header, such as x-user-id",
}


def read_pipeline(document: object) -> Pipeline:
    """Validate one parsed document.

    Args:
        document: what YAML or JSON gave; `status` is ignored, it is never input.

    Returns:
        The Pipeline. Models are not looked at: `tiltyard_core.compile_plan` does that.

    Raises:
        InvalidManifest: with every fault of the document.

    """
    if not isinstance(document, Mapping):
        raise InvalidManifest([Fault("(document)", "must be a mapping with kind: Pipeline")])
    data = {key: value for key, value in document.items() if key != "status"}
    faults = list(broken_rules(data))
    try:
        pipeline = Pipeline.model_validate_json(
            json.dumps(data, default=str), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        faults += [_fault(details) for details in error.errors(include_url=False) if _real(details)]
    if faults:
        raise InvalidManifest(sorted(set(faults), key=lambda fault: fault.path))
    return pipeline


def _real(details: ErrorDetails) -> bool:
    """Drop what only follows from other faults: a list is short when its entries are bad."""
    minimum = details.get("ctx", {}).get("min_length", 0)
    return details["type"] != "too_short" or len(details["input"]) < minimum


def _fault(details: ErrorDetails) -> Fault:
    """Translate one error of the validator into words for the author of the manifest."""
    location = details["loc"]
    return Fault(_path(location), _message(details))


def _path(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).lstrip(".") or "(document)"


_MESSAGES = {
    "missing": "is required: add it",
    "string_type": "must be a text: put it in quotes",
    "tuple_type": "must be a list: write its entries with '-'",
    "model_type": "must be a mapping of fields",
    "dict_type": "must be a mapping of fields",
    "float_type": "must be a number, without quotes",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false, without quotes",
}


def _message(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    match details["type"]:
        case "extra_forbidden":
            return _unknown(details["loc"])
        case "string_pattern_mismatch":
            return f"{_PATTERNS[context['pattern']]}; it is {details['input']!r}"
        case "enum" | "literal_error":
            return _not_a_choice(str(details["input"]), str(context["expected"]))
        case "too_long" | "too_short":
            bound = "at most" if details["type"] == "too_long" else "at least"
            length = context.get("max_length", context.get("min_length"))
            return f"must have {bound} {length} entries; it has {len(details['input'])}"
        case kind:
            return _MESSAGES.get(kind, details["msg"].replace("Input should be", "must be"))


def _not_a_choice(given: str, expected: str) -> str:
    if given == "python":
        return f"Python models are not part of this version: convert the model; use {expected}"
    return f"must be {expected}; it is {given!r}"


def _unknown(location: tuple[int | str, ...]) -> str:
    """Say that a field does not exist, and which one was probably meant."""
    name = str(location[-1])
    if name in PLANNED:
        return f"{name} is not part of this version: {PLANNED[name]}"
    known = sorted(
        field.alias or key for key, field in _class_at(location[:-1]).model_fields.items()
    )
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"unknown field: {hint}"


def _class_at(location: tuple[int | str, ...]) -> type[BaseModel]:
    """Class of the object that a location of the document belongs to."""
    here: type[BaseModel] = Pipeline
    for part in location:
        if isinstance(part, str):
            fields = {field.alias or key: field for key, field in here.model_fields.items()}
            here = next(_contracts(fields[part].annotation)) if part in fields else here
    return here


def _contracts(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - any annotation
    """Every contract class that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        yield annotation
    for argument in get_args(annotation):
        yield from _contracts(argument)
