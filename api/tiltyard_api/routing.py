"""The routing table: the part of a Pipeline that changes while pods run."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tiltyard_api.base import Contract, digest

WRONG_HASH: Final = "wrong_hash"
"""Type of the validation error of a table whose content is not what was written."""


class SplitRouting(Contract):
    """Weights of a split in force."""

    kind: Literal["split"] = "split"
    weights: dict[str, float]
    """Relative weight of each variant."""


class ShadowRouting(Contract):
    """Sampling of a shadow in force."""

    kind: Literal["shadow"] = "shadow"
    samples: dict[str, float]
    """Share of the requests that each challenger sees, 0 to 1."""


StepRouting = Annotated[SplitRouting | ShadowRouting, Field(discriminator="kind")]


class RoutingTable(Contract):
    """Weights and sampling of every routing step of one plan."""

    plan: str
    """Hash of the plan that the table is for."""

    pipeline_uid: str
    revision: int = Field(ge=0)
    """Grows with every change; an engine refuses a lower one."""

    steps: dict[str, StepRouting]
    hash: str = ""
    """SHA-256 of everything else, so that a damaged table is noticed."""

    def computed_hash(self) -> str:
        """Hash that the table should carry."""
        return digest(self.model_copy(update={"hash": ""}))

    def sealed(self) -> Self:
        """The same table with its hash set."""
        return self.model_copy(update={"hash": self.computed_hash()})

    @model_validator(mode="after")
    def _hash_matches(self) -> Self:
        if self.hash not in ("", self.computed_hash()):
            raise PydanticCustomError(
                WRONG_HASH, "the table's hash does not match its content: write it anew"
            )
        return self
