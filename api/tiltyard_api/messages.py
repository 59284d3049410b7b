"""Says the validator's errors in words that the author of a manifest can act on."""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

from pydantic_core import ErrorDetails

from tiltyard_api.base import Contract
from tiltyard_api.faults import Fault
from tiltyard_api.quantities import DURATION_PATTERN, QUANTITY_PATTERN
from tiltyard_api.v1alpha1.experiment import SCORE_PATTERN
from tiltyard_api.v1alpha1.hashkey import HEADER_PATTERN
from tiltyard_api.v1alpha1.metadata import NAMESPACE_PATTERN
from tiltyard_api.v1alpha1.models import NAME_PATTERN, SECRET_PATTERN, SHA256_PATTERN, URI_PATTERN
from tiltyard_api.v1alpha1.pod import ENV_PATTERN
from tiltyard_api.v1alpha1.records import COLUMN_PATTERN, SINK_PATTERN
from tiltyard_api.v1alpha1.scheduling import KEY_PATTERN, VALUE_PATTERN
from tiltyard_api.v1alpha1.steps import REFERENCE_PATTERN
from tiltyard_api.v1alpha1.volumes import DNS_PATTERN, PATH_PATTERN

_PATTERNS = {
    NAME_PATTERN: "must be lower-case letters, digits and '-', starting with a letter and not "
    "ending with '-'",
    NAMESPACE_PATTERN: "must be lower-case letters, digits and '-', with no '-' at either end",
    DURATION_PATTERN: "must be a duration such as 50ms, 10s or 1h30m",
    QUANTITY_PATTERN: "must be a quantity such as 512Mi or 1Gi",
    SCORE_PATTERN: "must be STEP.OUTPUT",
    REFERENCE_PATTERN: "must be request.COLUMN or STEP.OUTPUT",
    URI_PATTERN: "must be file:PATH, or start with pvc://, http://, https://, s3://, gs://, az://, "
    "oci:// or hf://",
    SINK_PATTERN: "must be stdout:, file:///FOLDER, or start with s3://, gs:// or az://",
    COLUMN_PATTERN: "must be in.NAME or out.NAME",
    SECRET_PATTERN: "must be the name of a Secret: lower-case letters, digits, '-' and '.'",
    SHA256_PATTERN: "must be the SHA-256 as 64 hex digits in lower case (see sha256sum)",
    HEADER_PATTERN: "must be the name of a header, such as x-user-id",
    DNS_PATTERN: "must be lower-case letters, digits, '-' and '.', letters or digits at its ends",
    ENV_PATTERN: "must be letters, digits and '_', with no digit first",
    KEY_PATTERN: "must be a key of Kubernetes such as team or example.com/team",
    VALUE_PATTERN: "must be letters, digits, '-', '_' and '.', with a letter or digit at its ends",
    PATH_PATTERN: "must be a path such as /mnt/models, without '..' and without '/' at its end",
}

_TYPES = {
    "string_type": "a text, in quotes",
    "tuple_type": "a list, its entries behind '-'",
    "model_type": "a mapping of fields",
    "dict_type": "a mapping of fields",
    "float_type": "a number, without quotes",
    "finite_number": "a finite number",
    "int_type": "a whole number, without quotes",
    "int_from_float": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
}

_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}

_LENGTHS = {
    "too_long": ("at most", "max_length", "entries"),
    "too_short": ("at least", "min_length", "entries"),
    "string_too_long": ("at most", "max_length", "characters"),
    "string_too_short": ("at least", "min_length", "characters"),
}


def fault_of(details: ErrorDetails, root: type[Contract]) -> Fault | None:
    """Translate one error of the validator; None where it only follows from others.

    Args:
        details: the error.
        root: class of the whole document.

    """
    location = details["loc"]
    if details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]:
        return None  # counted without the entries that have faults of their own
    if location[-1:] == ("[key]",):
        return Fault(_path(location[:-1]), f"as a name, {_message(details, root)}")
    return Fault(_path(location), _message(details, root))


def _path(location: tuple[int | str, ...]) -> str:
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".") or "(document)"


def _message(details: ErrorDetails, root: type[Contract]) -> str:
    tell = {"missing": _missing, "extra_forbidden": _unknown}.get(details["type"])
    if tell:
        *parents, name = details["loc"]
        return tell(_class_at(root, parents), str(name))
    say = _SAYINGS.get(details["type"])
    return say(details) if say else details["msg"].replace("Input should be", "must be")


def _missing(parent: type[Contract], name: str) -> str:
    fields = parent.model_fields
    field = next(field for key, field in fields.items() if (field.alias or key) == name)
    if get_origin(field.annotation) is Literal:
        return f"is required: add {name}: {get_args(field.annotation)[0]}"
    return "is required: add it"


def _unknown(parent: type[Contract], name: str) -> str:
    """Say that a field does not exist, and which one was probably meant."""
    known = sorted(field.alias or key for key, field in parent.model_fields.items())
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"unknown field: {hint}"


def _wrong_pattern(details: ErrorDetails) -> str:
    return f"{_PATTERNS[details['ctx']['pattern']]}; it is {_shown(details['input'])}"


def _wrong_choice(details: ErrorDetails) -> str:
    expected, given = details["ctx"]["expected"], details["input"]
    return f"must be {expected}; it is {_shown(given)}"


def _wrong_type(details: ErrorDetails) -> str:
    wanted, given = _TYPES[details["type"]], details["input"]
    if given is None:
        return f"is empty; it must be {wanted}"
    return f"must be {wanted}; it is {_shown(given)}"


def _out_of_bounds(details: ErrorDetails) -> str:
    words, key = _BOUNDS[details["type"]]
    bound = details["ctx"][key]
    bound = int(bound) if float(bound).is_integer() else bound
    return f"must be {words} {bound}; it is {_shown(details['input'])}"


def _wrong_length(details: ErrorDetails) -> str:
    words, key, unit = _LENGTHS[details["type"]]
    return f"has {len(details['input'])} {unit}; it must have {words} {details['ctx'][key]}"


def _shown(value: object) -> str:
    """Show a value as the manifest would spell it, shortened."""
    text = repr(value) if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= 64 else f"{text[:60]}..."


_SAYINGS: Mapping[str, Callable[[ErrorDetails], str]] = {
    "string_pattern_mismatch": _wrong_pattern,
    "enum": _wrong_choice,
    "literal_error": _wrong_choice,
    "value_error": lambda details: str(details["ctx"]["error"]),
    **dict.fromkeys(_TYPES, _wrong_type),
    **dict.fromkeys(_BOUNDS, _out_of_bounds),
    **dict.fromkeys(_LENGTHS, _wrong_length),
}


def _class_at(root: type[Contract], location: list[int | str]) -> type[Contract]:
    """Class of the object that a location of the document belongs to."""
    here = root
    for part in location:
        if isinstance(part, str):
            fields = {field.alias or key: field for key, field in here.model_fields.items()}
            here = next(_contracts(fields[part].annotation))
    return here


def _contracts(annotation: Any) -> Iterator[type[Contract]]:  # noqa: ANN401 - any annotation
    """Every contract class that an annotation mentions."""
    if isinstance(annotation, type) and issubclass(annotation, Contract):
        yield annotation
    for argument in get_args(annotation):
        yield from _contracts(argument)
