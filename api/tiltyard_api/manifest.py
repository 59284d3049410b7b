"""Reads a manifest into a Pipeline, or says everything that is wrong with it at once."""

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.messages import fault_of
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.rules import broken_rules


def read_pipeline(document: object) -> Pipeline:
    """Validate one parsed document.

    Args:
        document: what YAML or JSON gave; `status` is ignored, it is never input.

    Returns:
        The Pipeline. Models are not looked at: `tiltyard_core.compile_plan` does that.

    Raises:
        InvalidManifest: with every fault of the document.

    """
    text = _as_json(document)
    faults = set(broken_rules(json.loads(text)))
    try:
        pipeline = Pipeline.model_validate_json(text, strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        faults.update(filter(None, map(fault_of, error.errors(include_url=False))))
    if faults:
        raise InvalidManifest(sorted(faults, key=_reading_order))
    return pipeline


def _as_json(document: object) -> str:
    """Write the document as the API server would see it: a date becomes text, a key a name."""
    if not isinstance(document, Mapping):
        raise InvalidManifest([Fault("(document)", "must be a mapping with kind: Pipeline")])
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
