"""An interleaving: one list made of what two rankers give, so that users show whose is better."""

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, cel
from tiltyard_api.v1alpha1.hashkey import HashKey
from tiltyard_api.v1alpha1.models import Label

TEAM_SUFFIX = "_team"
"""Behind the name of the list: the output that says whose each place is."""


MOST_NAME = 64
"""Characters of an output's name."""


class Interleave(Contract):
    """Both rankers run; their lists become one by team draft."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.rankers[0] != self.rankers[1]",
                "two rankers are interleaved: name two models",
                ".rankers",
            ),
        )
    )

    rankers: tuple[Label, ...] = Field(min_length=2, max_length=2)
    output: str = Field(min_length=1, max_length=MOST_NAME - len(TEAM_SUFFIX))
    """Output of both rankers that is their list of items, best first."""

    length: int = Field(default=10, ge=1, le=1000)
    """Most items of the list."""

    hash_key: HashKey | None = None
    """Whose draws stay the same; without it every request draws anew."""
