"""How the engine runs in a cluster: how many pods, and how large."""

from pydantic import ConfigDict, Field

from tiltyard_api.base import Contract, cel
from tiltyard_api.quantities import Quantity
from tiltyard_api.v1alpha1.pod import Pod

ONE_SIZE = "the number of pods is fixed or follows the load: keep replicas or autoscaling"


class Autoscaling(Contract):
    """As many pods as the load of their cpus asks for."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("self.min <= self.max", "min is above max: lower it or raise max", ".min")
        )
    )

    min: int = Field(ge=1, le=1000)
    """Fewest pods."""

    max: int = Field(ge=1, le=1000)
    """Most pods."""

    cpu_utilization: int = Field(default=70, ge=1, le=100)
    """Percent of their cpus that the pods are kept at."""


class Deployment(Contract):
    """How the engine runs in a cluster. On a laptop nothing but its bounds is used."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!(has(self.replicas) && has(self.autoscaling))",
                ONE_SIZE,
            )
        )
    )

    replicas: int | None = Field(default=None, ge=0, le=1000)
    """Engine pods; 1 where neither this nor `autoscaling` is set."""

    autoscaling: Autoscaling | None = None
    cpus: float = Field(default=1, gt=0, le=1024)
    """Cores of one pod, request and limit; fractions allowed."""

    memory: Quantity = "1Gi"
    """Memory of one pod, request and limit."""

    pod: Pod | None = None
