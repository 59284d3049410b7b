"""Reads manifests into Pipelines and Models, or says everything that is wrong with them at once."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from tiltyard_api.base import Contract
from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.messages import fault_of
from tiltyard_api.v1alpha1 import rules
from tiltyard_api.v1alpha1.model import Model
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.written import Data

Resource = TypeVar("Resource", bound=Contract)


def read_pipeline(document: object) -> Pipeline:
    """Validate one parsed document.

    Args:
        document: what YAML or JSON gave; `status` is ignored, it is never input.

    Returns:
        The Pipeline. Models are not looked at: `tiltyard_core.compile_plan` does that, nor are
        those that it refers to: `tiltyard_core.references` does.

    Raises:
        InvalidManifest: with every fault of the document.

    """
    return _read(document, Pipeline, rules.of_pipeline)


def read_model(document: object) -> Model:
    """Validate one parsed document that describes a Model.

    Args:
        document: what YAML or JSON gave; `status` is ignored, it is never input.

    Raises:
        InvalidManifest: with every fault of the document.

    """
    return _read(document, Model, rules.of_model)


def _read(
    document: object,
    resource: type[Resource],
    broken_rules: Callable[[Data], Iterable[Fault]],
) -> Resource:
    text = _as_json(document, resource.__name__)
    faults = set(broken_rules(json.loads(text)))
    try:
        found = resource.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False)
        faults.update(fault for one in details if (fault := fault_of(one, resource)))
    if faults:
        raise InvalidManifest(sorted(faults, key=_reading_order))
    return found


def _as_json(document: object, kind: str) -> str:
    """Write the document as the API server would see it: a date becomes text, a key a name."""
    if not isinstance(document, Mapping):
        raise InvalidManifest([Fault("(document)", f"must be a mapping with kind: {kind}")])
    data = {key: value for key, value in document.items() if key != "status"}
    try:
        text = json.dumps(data, default=str, ensure_ascii=False)
        text.encode()
        json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        message = f"holds what JSON cannot ({error}): use plain texts, numbers and lists"
        raise InvalidManifest([Fault("(document)", message)]) from error
    return text


def _reading_order(fault: Fault) -> tuple[list[Any], str]:
    """Sort by path with `steps[2]` before `steps[10]`: every other part is a number."""
    parts = re.split(r"\[(\d+)\]", fault.path)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], fault.message
