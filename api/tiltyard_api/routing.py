"""The routing table: the part of a Pipeline that changes while pods run."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from tiltyard_api.base import Contract, digest
from tiltyard_api.v1alpha1.stage import Guard, stage_id

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


class GuardRouting(Contract):
    """By what an engine judges a candidate on its own."""

    alpha: float = Field(gt=0, le=1)
    """Most probability that one guard of one engine rolls back an equal candidate in one stage."""

    margins: dict[Guard, float]
    """How much worse is put up with, of each guard that is on."""

    slow: float | None = None
    """Seconds: a slow answer takes longer. None: latency is not watched."""


class CanaryRouting(Contract):
    """Stage of a canary in force."""

    kind: Literal["canary"] = "canary"
    run: str = Field(max_length=48)
    """Changes with the spec of the canary: what an engine latched by itself, it latched for this
    run."""

    stage: int = Field(ge=0, le=10**9)
    """Number of the stage, from 1; 0: the ramp has not begun, and the candidate gets nothing."""

    weight: float = Field(ge=0, le=100)
    """Percent that the candidate gets, the decimal number that it is written as."""

    latched: bool = False
    """True: the candidate gets nothing, whatever the weight."""

    frozen: bool = False
    """True: units do not divide as they should, so that guards do not compare the variants."""

    guards: GuardRouting

    @property
    def stage_id(self) -> str:
        """What counts of this stage carry."""
        return stage_id(self.run, self.stage)


StepRouting = Annotated[SplitRouting | ShadowRouting | CanaryRouting, Field(discriminator="kind")]


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
