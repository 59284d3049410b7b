"""How large a pipeline's pods are and how many: the part `spec.deployment` of its manifest."""

from copy import deepcopy
from typing import Any, Self

from tiltyard.failure import Failure


class DeploymentConfigBuilder:
    """Says how a pipeline is deployed, one call a wish; `build` gives it to `Pipeline.deploy`."""

    def __init__(self) -> None:
        self._wished: dict[str, Any] = {}

    def replica_count(self, count: int) -> Self:
        """Run as many pods."""
        self._wished.pop("autoscaling", None)
        self._wished["replicas"] = count
        return self

    def replica_autoscale_min_max(self, maximum: int, minimum: int = 1) -> Self:
        """Let the load of the cpus decide how many pods run.

        Raises:
            Failure: the two are no range of pods.

        """
        if not 1 <= minimum <= maximum:
            raise Failure(
                f"{minimum} to {maximum} pods: minimum is at least 1 and not above maximum"
            )
        self._wished.pop("replicas", None)
        self._wished.setdefault("autoscaling", {}).update(min=minimum, max=maximum)
        return self

    def autoscale_cpu_utilization(self, percent: int) -> Self:
        """Keep the cpus at so many percent.

        Raises:
            Failure: nothing was said of how many pods there may be.

        """
        if "autoscaling" not in self._wished:
            raise Failure(
                "say how many pods there may be first: replica_autoscale_min_max(maximum)"
            )
        self._wished["autoscaling"]["cpuUtilization"] = percent
        return self

    def disable_autoscale(self) -> Self:
        """Go back to a number of pods that stays."""
        self._wished.pop("autoscaling", None)
        return self

    def cpus(self, count: float) -> Self:
        """Give each pod so many cores; fractions are allowed."""
        self._wished["cpus"] = count
        return self

    def memory(self, quantity: str) -> Self:
        """Give each pod so much memory, written as in Kubernetes: `1Gi`."""
        self._wished["memory"] = quantity
        return self

    def deployment_label(self, label: str) -> Self:
        """Run on nodes that have a label, `NAME=VALUE` or `NAME:VALUE`.

        Raises:
            Failure: it is not written so.

        """
        name, _, value = label.replace(":", "=", 1).partition("=")
        if not name or not value:
            raise Failure(f"{label!r} is no label of nodes: write NAME=VALUE")
        self._wished.setdefault("pod", {}).setdefault("nodeSelector", {})[name] = value
        return self

    def build(self) -> dict[str, Any]:
        """Give what stands under `spec.deployment`."""
        return deepcopy(self._wished)
