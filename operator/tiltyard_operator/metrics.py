"""What the operator counts about itself, and what it tells of experiments."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each, of no use here
REGISTRY = CollectorRegistry()

RECONCILES = Counter(
    "tiltyard_operator_reconciles",
    "Reconciles that ended, by how: ok, conflict, refused, unavailable or error.",
    ["kind", "result"],
    registry=REGISTRY,
)
RECONCILE_SECONDS = Histogram(
    "tiltyard_operator_reconcile_seconds",
    "How long a reconcile took.",
    ["kind"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge(
    "tiltyard_operator_queue_depth",
    "Objects that are due and wait for a worker.",
    registry=REGISTRY,
)
WRITES = Counter(
    "tiltyard_operator_writes",
    "Writes sent to the API server.",
    ["kind", "verb"],
    registry=REGISTRY,
)
DRIFT_REPAIRED = Counter(
    "tiltyard_operator_drift_repaired",
    "Owned objects put back after somebody else deleted or changed them.",
    ["kind"],
    registry=REGISTRY,
)
PIPELINES = Gauge(
    "tiltyard_operator_pipelines",
    "Pipelines by phase.",
    ["phase"],
    registry=REGISTRY,
)
CANARIES = Gauge(
    "tiltyard_operator_canaries",
    "Canaries by how they fare, in the words of the condition CanaryHealthy.",
    ["reason"],
    registry=REGISTRY,
)
EXPERIMENTS = Gauge(
    "tiltyard_operator_experiments",
    "Experiments by how they stand, in the words of the condition ExperimentConclusive.",
    ["reason"],
    registry=REGISTRY,
)
_COMPARED = ["pipeline_namespace", "pipeline", "step", "metric", "variant"]
"""Not `namespace`: that is where Prometheus found the operator."""

ESTIMATE = Gauge(
    "tiltyard_operator_experiment_estimate",
    "Mean of a variant less that of the control, within strata of equal shares.",
    _COMPARED,
    registry=REGISTRY,
)
ESTIMATE_LOW = Gauge(
    "tiltyard_operator_experiment_estimate_low",
    "Lower end of the interval that holds the difference at all times at once.",
    _COMPARED,
    registry=REGISTRY,
)
ESTIMATE_HIGH = Gauge(
    "tiltyard_operator_experiment_estimate_high",
    "Upper end of the interval that holds the difference at all times at once.",
    _COMPARED,
    registry=REGISTRY,
)
ESTIMATE_P = Gauge(
    "tiltyard_operator_experiment_p",
    "Always-valid p-value of there being no difference.",
    _COMPARED,
    registry=REGISTRY,
)
ROLLBACKS = Counter(
    "tiltyard_operator_rollbacks",
    "Candidates taken out of the way, by who did it: operator, engine or user.",
    ["by"],
    registry=REGISTRY,
)
ROUTING_SYNC_SECONDS = Histogram(
    "tiltyard_operator_routing_sync_seconds",
    "From a new routing table's write to the moment when every serving pod was seen to run it.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
    registry=REGISTRY,
)
