"""What every object of the contract shares: strictness, spelling, canonical bytes."""

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

SchemaExtra = dict[str, Any]

BY_NAME: SchemaExtra = {
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["name"],
}
"""A list whose entries are told apart by name: the API server refuses two of one name."""


class Contract(BaseModel):
    """Base of resources, plans and routing tables.

    Unknown fields are refused, values never change after validation, field docstrings become the
    descriptions of the CRD, and the spelling outside Python is camelCase.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )


def cel(*rules: tuple[str, str] | tuple[str, str, str]) -> SchemaExtra:
    """Validation rules of the API server for one value.

    Args:
        rules: expression, message and, where a field within is to blame, its path as `.name`.

    """
    words = ("rule", "message", "fieldPath")
    return {"x-kubernetes-validations": [dict(zip(words, rule, strict=False)) for rule in rules]}


def one_of(*kinds: str) -> str:
    """CEL: exactly one of these fields is there."""
    return f"[{', '.join(f'has(self.{kind})' for kind in kinds)}].exists_one(kind, kind)"


def begins_with_none(name: str, *words: str) -> str:
    """CEL: a text begins with none of these words."""
    return " && ".join(f"!{name}.startsWith('{word}')" for word in words)


def canonical(contract: Contract) -> bytes:
    """The one JSON spelling of an object that hashes are taken of: sorted keys, no blanks."""
    data = contract.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def digest(contract: Contract) -> str:
    """SHA-256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical(contract)).hexdigest()
