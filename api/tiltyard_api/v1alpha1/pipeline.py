"""The Pipeline resource."""

from typing import Literal

from pydantic import ConfigDict, Field

from tiltyard_api.base import BY_NAME, Contract, cel
from tiltyard_api.quantities import quantity_bytes
from tiltyard_api.v1alpha1.canary import MOST_CANARIES
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_api.v1alpha1.experiment import DIVIDING, Experiment
from tiltyard_api.v1alpha1.metadata import Metadata, name_rules
from tiltyard_api.v1alpha1.models import (
    DEFAULT_MEMORY,
    DEFAULT_WORKERS,
    ENGINE_MEMORY,
    WORKERS_FIT,
    ListedModel,
)
from tiltyard_api.v1alpha1.records import Records
from tiltyard_api.v1alpha1.steps import Step
from tiltyard_api.v1alpha1.validations import Validation

_MODELS_OF_STEPS = (
    "(!has(s.model) || self.models.exists(m, m.name == s.model))",
    "(!has(s.split) || s.split.variants.all(v, self.models.exists(m, m.name == v.model)))",
    "(!has(s.shadow) || self.models.exists(m, m.name == s.shadow.champion))",
    "(!has(s.shadow) || s.shadow.challengers.all(c, self.models.exists(m, m.name == c.model)))",
    "(!has(s.canary) || self.models.exists(m, m.name == s.canary.stable))",
    "(!has(s.canary) || self.models.exists(m, m.name == s.canary.candidate))",
    "(!has(s.interleave) || s.interleave.rankers.all(r, self.models.exists(m, m.name == r)))",
)


_INPUTS_OF_STEPS = (
    "!has(s.inputs) || s.inputs.all(i, s.inputs[i].startsWith('request.')"
    " || self.steps.exists(t, t.name != s.name && s.inputs[i].startsWith(t.name + '.')))"
)
"""Whether the other step is an earlier one is beyond CEL: rules.py knows."""

_DIVIDING = " || ".join(f"has(s.{kind})" for kind in DIVIDING)
_ONE_STEP = (
    f"an experiment is about exactly one step of {', '.join(DIVIDING)}: remove it, or"
    " change the steps"
)
_SCORES_OF_STEPS = (
    "!has(self.experiment) || self.experiment.metrics.all(m, !has(m.score)"
    " || self.steps.exists(s, m.score.startsWith(s.name + '.')))"
)

_WORKERS = (
    "self.models.map(m, has(m.framework) && m.framework == 'python'"
    " ? (has(m.memory) ? quantity(m.memory).asApproximateFloat()"
    f" : {float(quantity_bytes(DEFAULT_MEMORY))})"
    f" * (has(m.workers) ? double(m.workers) : {float(DEFAULT_WORKERS)}) : 0.0).sum()"
)
_MEMORY = "quantity(self.deployment.memory).asApproximateFloat()"
_ENGINE = float(quantity_bytes(ENGINE_MEMORY))


class PipelineSpec(Contract):
    """What the user wants; nothing but the user writes it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"self.steps.all(s, {' && '.join(_MODELS_OF_STEPS)})",
                "a step names a model that spec.models does not list: add it there",
                ".steps",
            ),
            (
                f"self.steps.all(s, {_INPUTS_OF_STEPS})",
                "an input comes from a step that is not there: name an earlier one, or request",
                ".steps",
            ),
            (
                f"self.steps.filter(s, has(s.canary)).size() <= {MOST_CANARIES}",
                f"a Pipeline has at most {MOST_CANARIES} canaries: make one a split",
                ".steps",
            ),
            (
                f"!has(self.experiment) || self.steps.filter(s, {_DIVIDING}).size() == 1",
                _ONE_STEP,
                ".experiment",
            ),
            (
                _SCORES_OF_STEPS,
                "a score comes from a step that is not there: name STEP.OUTPUT",
                ".experiment",
            ),
            (
                f"{_WORKERS} == 0.0 || {_WORKERS} + {_ENGINE} <= {_MEMORY}",
                WORKERS_FIT,
            ),
        )
    )

    models: tuple[ListedModel, ...] = Field(min_length=1, max_length=32, json_schema_extra=BY_NAME)
    """The models that steps name."""

    steps: tuple[Step, ...] = Field(min_length=1, max_length=16, json_schema_extra=BY_NAME)
    """Run in order; each takes the outputs of the one before."""

    records: Records | None = None
    """What is written down of inferences; absent: nothing, in a cluster."""

    experiment: Experiment | None = None
    """Which feedback tells whose variant is better."""

    validations: tuple[Validation, ...] | None = Field(
        default=None, max_length=32, json_schema_extra=BY_NAME
    )
    """What is said of answers that look wrong; it holds none of them back."""

    deployment: Deployment = Deployment()
    suspend: bool = False
    """True undeploys: no pods, everything else stays."""


class Pipeline(Contract):
    """Models in production: an ordered list of steps and how many pods run them."""

    model_config = ConfigDict(json_schema_extra=name_rules("Pipeline"))

    api_version: Literal["tiltyard.dev/v1alpha1"]
    kind: Literal["Pipeline"]
    metadata: Metadata
    spec: PipelineSpec
