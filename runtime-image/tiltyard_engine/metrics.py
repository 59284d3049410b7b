"""Every metric of the engine: name, help, labels, and which series a plan has."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tiltyard_api.plan import (
    Plan,
    PlanCanary,
    PlanDrawn,
    PlanInterleave,
    PlanModelStep,
    PlanShadow,
    PlanSplit,
    PlanStep,
)
from tiltyard_api.reasons import STATUS_OF, Reason
from tiltyard_engine.canaries import canary_series
from tiltyard_engine.counters import Series
from tiltyard_engine.feedback.results import FEEDBACK, feedback_series, stray_series
from tiltyard_engine.inforce import in_force_series
from tiltyard_engine.recording.results import record_series

PROTOCOLS = ("records", "v2", "sagemaker", "grpc")
"""Wire formats of the data port, as the label `protocol` spells them."""

TRANSPORTS = ("http", "grpc")
"""What stands for the protocol where no Pipeline was known."""

NO_PIPELINE = ""
"""Label of what was refused before a Pipeline was known."""

MODEL_REASONS = (Reason.MODEL_FAILED, Reason.MODEL_TIMEOUT, Reason.NOT_READY)
"""Why a model gave nothing; the last where its processes keep dying and none is asked."""

DROPPED = ("full", "late", "starved", "crashed", "shutdown")
"""A queue had no place; the wait was longer than the budget or the timeout; the engine ended."""

ROUTING_REFUSED = (
    "TooLarge", "Malformed", "WrongHash",
    "OtherPlan", "OtherPipeline", "OlderRevision", "UnknownVariant",
)  # fmt: skip
MATCHES = ("match", "mismatch")
SIDES = ("both_above", "both_below", "false_negative", "false_positive")
"""Who says yes: both, neither, the champion alone, the challenger alone."""

VALIDATION_ERRORS = ("failed", "late")
"""An expression has no truth for a row; it was not judged in time."""

MODEL_ERROR = 424
"""What the SageMaker face answers in place of 500 and 504, which its clients would try again."""

CODES = tuple(map(str, sorted({200, 202, MODEL_ERROR, *STATUS_OF.values()})))

EVIDENCE = "tiltyard_canary_log_evidence"
"""No worker writes it: it follows from what all of them have counted."""

PARTS_PER_UNIT = 10**9
"""Shares are kept as whole billionths."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What Prometheus is told of a metric."""

    kind: str
    help: str
    labels: tuple[str, ...] = ()


_VARIANT = ("pipeline", "step", "variant")

METRICS = {
    "tiltyard_requests_total": Metric(
        "counter", "Requests answered.", ("pipeline", "protocol", "code")
    ),
    "tiltyard_request_seconds": Metric(
        "histogram", "Time from the whole request to its answer.", ("pipeline",)
    ),
    "tiltyard_rows_total": Metric("counter", "Rows of the requests decoded.", ("pipeline",)),
    "tiltyard_variant_requests_total": Metric(
        "counter", "Requests, or parts of divided ones, that a variant was given.", _VARIANT
    ),
    "tiltyard_variant_rows_total": Metric("counter", "Rows that a variant was given.", _VARIANT),
    "tiltyard_variant_errors_total": Metric(
        "counter", "Requests that a variant failed.", (*_VARIANT, "reason")
    ),
    "tiltyard_variant_seconds": Metric(
        "histogram", "Time of the call of the model that served a request.", _VARIANT
    ),
    "tiltyard_variant_weight": Metric("gauge", "Share in force, 0 to 1.", _VARIANT),
    "tiltyard_canary_latched": Metric(
        "gauge", "1 while a candidate is rolled back, by its table or by this engine.", _VARIANT
    ),
    EVIDENCE: Metric(
        "gauge", "Strongest evidence of any guard of this engine against a candidate.", _VARIANT
    ),
    "tiltyard_hash_key_missing_total": Metric(
        "counter", "Requests without the hash key of a step.", ("pipeline", "step")
    ),
    "tiltyard_pinned_requests_total": Metric(
        "counter", "Requests that named their variant.", ("pipeline", "step")
    ),
    "tiltyard_shadow_offered_total": Metric(
        "counter", "Requests sampled for a challenger.", _VARIANT
    ),
    "tiltyard_shadow_run_total": Metric("counter", "Requests a challenger answered.", _VARIANT),
    "tiltyard_shadow_dropped_total": Metric(
        "counter", "Requests a challenger was spared.", (*_VARIANT, "reason")
    ),
    "tiltyard_shadow_failed_total": Metric(
        "counter", "Requests a challenger failed.", (*_VARIANT, "reason")
    ),
    "tiltyard_shadow_compared_total": Metric(
        "counter", "Rows compared with the champion's.", (*_VARIANT, "result")
    ),
    "tiltyard_shadow_confusion_total": Metric(
        "counter", "Rows by who is on which side of the threshold.", (*_VARIANT, "result")
    ),
    "tiltyard_routing_revision": Metric(
        "gauge", "Revision of the routing table that every worker has.", ("pipeline",)
    ),
    "tiltyard_routing_refused_total": Metric(
        "counter", "Routing tables that were refused.", ("pipeline", "reason")
    ),
    "tiltyard_routing_watch_up": Metric(
        "gauge", "1 while the API server tells of new routing tables.", ("pipeline",)
    ),
    "tiltyard_nonfinite_outputs_total": Metric(
        "counter", "NaN and infinities that a variant gave.", _VARIANT
    ),
    "tiltyard_validation_failures_total": Metric(
        "counter", "Rows that a validation objected to.", ("pipeline", "validation")
    ),
    "tiltyard_validation_errors_total": Metric(
        "counter", "Rows that a validation could not judge.", ("pipeline", "validation", "reason")
    ),
    "tiltyard_records_offered_total": Metric(
        "counter", "Rows that were to be written down.", ("pipeline", "stream")
    ),
    "tiltyard_records_total": Metric(
        "counter", "Rows that were written down, or why not.", ("pipeline", "stream", "result")
    ),
    FEEDBACK: Metric("counter", "Feedback that came in.", ("pipeline", "metric", "result")),
    "tiltyard_in_flight_requests": Metric("gauge", "Requests that wait for their answer."),
}
"""In the order of the exposition."""

READY = Series("ready")
"""1 in the block of a worker that serves: not exposed."""


WATCH_REFUSED = "routing_watch_refused"
"""In the first block, though no worker writes it: tables that the watch refused, so that no worker
saw them. Exposed as part of `tiltyard_routing_refused_total`."""


def engine_series(
    plans: Sequence[Plan], *, watched: bool = False, streams: Sequence[tuple[str, str]] = ()
) -> list[Series]:
    """Every series of an engine; the order is the layout of the counter file.

    Args:
        plans: what it serves.
        watched: whether routing tables come by a watch.
        streams: Pipelines and names of what is written down.

    """
    series = [READY, Series("tiltyard_in_flight_requests")]
    for transport in TRANSPORTS:
        labels = [(NO_PIPELINE, transport, code) for code in CODES]
        series += [Series("tiltyard_requests_total", one) for one in labels]
    series += stray_series()
    for plan in plans:
        series += _pipeline_series(plan)
        if watched:
            series.append(Series("tiltyard_routing_watch_up", (plan.pipeline,)))
    for stream in streams:
        series += record_series(*stream)
    return series


def _pipeline_series(plan: Plan) -> Iterator[Series]:
    name = plan.pipeline
    for protocol in PROTOCOLS:
        for code in CODES:
            yield Series("tiltyard_requests_total", (name, protocol, code))
    yield Series("tiltyard_request_seconds", (name,), histogram=True)
    yield Series("tiltyard_rows_total", (name,))
    yield from in_force_series(name)
    for reason in ROUTING_REFUSED:
        yield Series("tiltyard_routing_refused_total", (name, reason))
        yield Series(WATCH_REFUSED, (name, reason))
    for validation in plan.validations or ():
        yield Series("tiltyard_validation_failures_total", (name, validation.name))
        for reason in VALIDATION_ERRORS:
            yield Series("tiltyard_validation_errors_total", (name, validation.name, reason))
    for step in plan.steps:
        yield from _step_series(name, step)
    yield from feedback_series(plan)


def _step_series(pipeline: str, step: PlanStep) -> Iterator[Series]:
    for variant in variants_of(step):
        labels = (pipeline, step.name, variant)
        yield Series("tiltyard_variant_requests_total", labels)
        yield Series("tiltyard_variant_rows_total", labels)
        yield Series("tiltyard_variant_seconds", labels, histogram=True)
        yield Series("tiltyard_nonfinite_outputs_total", labels)
        for reason in MODEL_REASONS:
            yield Series("tiltyard_variant_errors_total", (*labels, reason))
    if isinstance(step, PlanDrawn):
        for variant in () if isinstance(step, PlanInterleave) else variants_of(step):
            yield Series("tiltyard_variant_weight", (pipeline, step.name, variant))
        yield Series("tiltyard_hash_key_missing_total", (pipeline, step.name))
        yield Series("tiltyard_pinned_requests_total", (pipeline, step.name))
    if isinstance(step, PlanCanary):
        yield from canary_series(pipeline, step)
    if isinstance(step, PlanShadow):
        for challenger in step.challengers:
            labels = (pipeline, step.name, challenger)
            yield from _shadow_series(labels)
            yield from confusion_series(labels) if step.threshold is not None else ()


def _shadow_series(labels: tuple[str, ...]) -> Iterator[Series]:
    yield Series("tiltyard_shadow_offered_total", labels)
    yield Series("tiltyard_shadow_run_total", labels)
    for reason in DROPPED:
        yield Series("tiltyard_shadow_dropped_total", (*labels, reason))
    for reason in MODEL_REASONS:
        yield Series("tiltyard_shadow_failed_total", (*labels, reason))
    for result in MATCHES:
        yield Series("tiltyard_shadow_compared_total", (*labels, result))


def confusion_series(labels: tuple[str, ...]) -> list[Series]:
    """Series of a challenger whose comparison has a threshold, in the order of `SIDES`."""
    return [Series("tiltyard_shadow_confusion_total", (*labels, side)) for side in SIDES]


def variants_of(step: PlanStep) -> tuple[str, ...]:
    """Models that a step runs."""
    if isinstance(step, PlanSplit | PlanCanary | PlanInterleave):
        return step.variants
    if isinstance(step, PlanShadow):
        return (step.champion, *step.challengers)
    return (step.model,) if isinstance(step, PlanModelStep) else ()
