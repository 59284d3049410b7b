"""The hash key of a step that draws: what ties a user to a variant."""

from typing import Literal

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, cel
from tiltyard_api.v1alpha1.models import TensorName

HEADER_PATTERN = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"

ONE_KEY = "give exactly one of field and header: where the key comes from"


class HashKey(Contract):
    """What ties a user to a variant."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "has(self.field) != has(self.header)",
                ONE_KEY,
            ),
        )
    )

    field: TensorName | None = None
    """Column of the records that holds the key."""

    header: str | None = Field(default=None, pattern=HEADER_PATTERN, max_length=64)
    """Request header that holds the key."""

    missing: Literal["random", "first", "reject"] = "random"
    """What happens to a request without the key."""

    salt: str | None = Field(default=None, min_length=1, max_length=256)
    """Mixed into the hash; default `namespace/pipeline/step`."""
