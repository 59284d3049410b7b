"""The steps of a Pipeline. A new kind is one class here and one field of `Step`."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, cel, one_of
from tiltyard_api.quantities import Duration
from tiltyard_api.v1alpha1.canary import Canary
from tiltyard_api.v1alpha1.hashkey import HashKey
from tiltyard_api.v1alpha1.interleave import Interleave
from tiltyard_api.v1alpha1.models import Label, TensorName

REFERENCE_PATTERN = r"^(request|[a-z]([-a-z0-9]*[a-z0-9])?)\..+$"

Reference = Annotated[str, Field(pattern=REFERENCE_PATTERN, max_length=128)]
"""Where a step's input comes from: `request.COLUMN` or `STEP.OUTPUT`."""

NOTHING_SERVED = "all weights are 0: nothing could be served; raise one"
BUDGET_UNUSED = "only an answer that waits has a budget: add outputs: respond"
IS_THE_REQUEST = "'request' means the request in inputs: rename the step"


class Variant(Contract):
    """One choice of a split."""

    model: Label
    weight: float = Field(ge=0, le=1e9)
    """Relative share; 0 sends nothing."""


class Split(Contract):
    """Requests are divided between variants by weight."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.variants.exists(v, v.weight > 0.0)",
                NOTHING_SERVED,
                ".variants",
            ),
            (
                "self.variants.all(v, self.variants.exists_one(w, w.model == v.model))",
                "a split names each model once: remove the repeated variant",
                ".variants",
            ),
        )
    )

    hash_key: HashKey | None = None
    """Without it the draw is random."""

    variants: tuple[Variant, ...] = Field(min_length=1, max_length=16)


class Challenger(Contract):
    """A model that sees the champion's requests."""

    model: Label
    sample: float = Field(default=1, ge=0, le=1)
    """Share of the requests it sees, drawn once a request."""


class Compare(Contract):
    """When a challenger's answer counts as a match."""

    output: TensorName
    """Output of the champion that is compared with the challenger's of the same name."""

    tolerance: float = Field(default=0, ge=0)
    """Largest absolute difference of a number that still matches."""

    threshold: float | None = None
    """Numbers from here on are a yes: counts who says yes."""

    keep: int = Field(default=0, ge=0, le=100)
    """How many of the worst disagreements are kept, with their inputs."""


class Shadow(Contract):
    """The champion answers; challengers get the same input."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "self.challengers.all(c, c.model != self.champion)",
                "the champion cannot challenge itself: remove it from the challengers",
                ".challengers",
            ),
            (
                "self.challengers.all(c, self.challengers.exists_one(d, d.model == c.model))",
                "a shadow names each challenger once: remove the repeated one",
                ".challengers",
            ),
            (
                "!has(self.budget) || self.outputs == 'respond'",
                BUDGET_UNUSED,
                ".budget",
            ),
        )
    )

    champion: Label
    challengers: tuple[Challenger, ...] = Field(min_length=1, max_length=8)

    outputs: Literal["log", "respond"] = "log"
    """`respond`: the answer also carries `out_{model}.{field}` of every challenger."""

    budget: Duration | None = None
    """How long an answer waits for challengers (`respond` only); 1s where nothing is said."""

    timeout: Duration = "5s"
    """How long a challenger may run."""

    compare: Compare | None = None
    """Counts matches of champion and challengers."""


DEFAULT_BUDGET = "1s"

KINDS = ("model", "split", "shadow", "canary", "interleave")


class Step(Contract):
    """One step; exactly one kind is set."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                one_of(*KINDS),
                f"a step has exactly one kind: one of {', '.join(KINDS)}",
            ),
            (
                "self.name != 'request'",
                IS_THE_REQUEST,
                ".name",
            ),
            (
                "!has(self.inputs) || self.inputs.all(i, size(i) > 0 && size(i) <= 64)",
                "an input of a model has a name of 1 to 64 characters: correct it",
                ".inputs",
            ),
        )
    )

    name: Label
    inputs: dict[TensorName, Reference] | None = Field(default=None, max_length=256)
    """Where inputs come from, if not from the request (first step) or the step before."""

    model: Label | None = None
    """A step that runs one model."""

    split: Split | None = None
    shadow: Shadow | None = None
    canary: Canary | None = None
    interleave: Interleave | None = None
