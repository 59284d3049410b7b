"""What Prometheus asks, where its operator is installed."""

from tiltyard_operator.desired.metadata import Owner, head, selector
from tiltyard_operator.kinds import POD_MONITOR, Object


def pod_monitor(owner: Owner) -> Object:
    """Each pod is asked by itself: a Service would answer for one of them."""
    return head(POD_MONITOR, owner, owner.name, "monitoring") | {
        "spec": {
            "selector": {"matchLabels": selector(owner.name)},
            "podMetricsEndpoints": [{"port": "management", "path": "/metrics"}],
        }
    }
