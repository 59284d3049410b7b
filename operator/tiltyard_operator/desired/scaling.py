"""How many pods there are, and how many may be taken away at once."""

from tiltyard_api.v1alpha1.deployment import Autoscaling
from tiltyard_operator.desired.metadata import Owner, head, selector
from tiltyard_operator.kinds import AUTOSCALER, DEPLOYMENT, DISRUPTION_BUDGET, Object


def autoscaler(owner: Owner, wanted: Autoscaling) -> Object:
    """Pods by the load of their processors."""
    target = {"type": "Utilization", "averageUtilization": wanted.cpu_utilization}
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": target}}
    return head(AUTOSCALER, owner, owner.name, "scaling") | {
        "spec": {
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": owner.name,
            },
            "minReplicas": wanted.min,
            "maxReplicas": wanted.max,
            "metrics": [metric],
        }
    }


def disruption_budget(owner: Owner) -> Object:
    """Drains take one pod at a time, and are never held up by pods that serve nothing anyway."""
    return head(DISRUPTION_BUDGET, owner, owner.name, "scaling") | {
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": selector(owner.name)},
        }
    }
