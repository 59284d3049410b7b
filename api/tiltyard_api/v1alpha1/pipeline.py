"""The Pipeline resource."""

from typing import Literal

from pydantic import ConfigDict, Field

from tiltyard_api.base import BY_NAME, Contract, cel
from tiltyard_api.quantities import Quantity
from tiltyard_api.v1alpha1.models import NAME_PATTERN, ModelEntry
from tiltyard_api.v1alpha1.steps import Step

NAMESPACE_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH = 50
"""Longest name of a Pipeline: every derived name then fits into 63 characters."""


class Metadata(Contract):
    """What Tiltyard reads of an object's metadata; the rest is Kubernetes' own."""

    model_config = ConfigDict(extra="ignore")

    name: str = Field(pattern=NAME_PATTERN, max_length=NAME_LENGTH)
    namespace: str = Field(default="default", pattern=NAMESPACE_PATTERN, max_length=63)
    uid: str | None = Field(default=None, min_length=1, max_length=64)


class Deployment(Contract):
    """How the engine runs in a cluster. On a laptop nothing but its bounds is used."""

    replicas: int | None = Field(default=None, ge=0, le=1000)
    """Engine pods; 1 where nothing is said."""

    cpus: float = Field(default=1, gt=0, le=1024)
    """Cores of one pod, request and limit; fractions allowed."""

    memory: Quantity = "1Gi"
    """Memory of one pod, request and limit."""


_MODELS_OF_STEPS = (
    "(!has(s.model) || self.models.exists(m, m.name == s.model))",
    "(!has(s.split) || s.split.variants.all(v, self.models.exists(m, m.name == v.model)))",
    "(!has(s.shadow) || self.models.exists(m, m.name == s.shadow.champion))",
    "(!has(s.shadow) || s.shadow.challengers.all(c, self.models.exists(m, m.name == c.model)))",
)


class PipelineSpec(Contract):
    """What the user wants; nothing but the user writes it."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"self.steps.all(s, {' && '.join(_MODELS_OF_STEPS)})",
                "a step names a model that spec.models does not list: add it there",
                ".steps",
            ),
        )
    )

    models: tuple[ModelEntry, ...] = Field(min_length=1, max_length=32, json_schema_extra=BY_NAME)
    """The models that steps name."""

    steps: tuple[Step, ...] = Field(min_length=1, max_length=16, json_schema_extra=BY_NAME)
    """Run in order; each takes the outputs of the one before."""

    deployment: Deployment = Deployment()
    suspend: bool = False
    """True undeploys: no pods, everything else stays."""


class Pipeline(Contract):
    """Models in production: an ordered list of steps and how many pods run them."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                f"size(self.metadata.name) <= {NAME_LENGTH}",
                f"the name of a Pipeline has at most {NAME_LENGTH} characters: shorten it",
                ".metadata.name",
            ),
            (
                f"self.metadata.name.matches('{NAME_PATTERN}')",
                "the name of a Pipeline is lower-case letters, digits and '-', a letter first",
                ".metadata.name",
            ),
        ),
    )

    api_version: Literal["tiltyard.dev/v1alpha1"]
    kind: Literal["Pipeline"]
    metadata: Metadata
    spec: PipelineSpec
