"""Validations: what an answer must not be. They tell of it, and never keep it back."""

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, cel
from tiltyard_api.v1alpha1.pod import ENV_PATTERN

RESERVED = "count"
"""What answers call the number of validations that found an anomaly."""

IS_RESERVED = f"{RESERVED!r} is how answers call the number of anomalies: choose another name"


class Validation(Contract):
    """An expression over one row that is true where something is wrong with it."""

    model_config = ConfigDict(
        json_schema_extra=cel((f"self.name != '{RESERVED}'", IS_RESERVED, ".name"))
    )

    name: str = Field(pattern=ENV_PATTERN, max_length=64)
    """How answers, metrics and records call it."""

    expression: str = Field(min_length=1, max_length=1000)
    """CEL over `inputs` and `out`, such as `out.price[0] > 1e6`."""
