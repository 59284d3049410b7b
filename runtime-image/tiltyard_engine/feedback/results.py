"""What can become of feedback, as it is counted."""

from collections.abc import Iterator

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.counters import Series

FEEDBACK = "tiltyard_feedback_total"

ACCEPTED = "accepted"
UNASSIGNED = "unassigned"
"""Taken, but evidence of nothing: pinned, without its key, a place of nobody's, too many strata."""

NO_METRIC = ""
"""Label of what names no metric of its Pipeline."""

RESULTS: tuple[str, ...] = (
    ACCEPTED,
    UNASSIGNED,
    Reason.MALFORMED_BODY,
    Reason.WRONG_TYPE,
    Reason.OUT_OF_RANGE,
    Reason.NULL_VALUE,
    Reason.UNKNOWN_METRIC,
    Reason.ROW_NEEDS_OWN_ID,
    Reason.CLOCK_AHEAD,
    Reason.DUPLICATE,
    Reason.TOO_OLD,
)

STRAYS: tuple[str, ...] = (
    Reason.MALFORMED_BODY,
    Reason.MALFORMED_ID,
    Reason.WRONG_TOKEN,
    Reason.UNKNOWN_PIPELINE,
)
"""Of feedback whose Pipeline is not known."""


def feedback_series(plan: Plan) -> Iterator[Series]:
    """Series of a Pipeline with an experiment."""
    metrics = [one.name for one in plan.experiment.metrics] if plan.experiment else []
    for metric in [*metrics, NO_METRIC] if metrics else ():
        for result in RESULTS:
            yield Series(FEEDBACK, (plan.pipeline, metric, result))


def stray_series() -> Iterator[Series]:
    """Series of what is of no Pipeline that is known."""
    for result in STRAYS:
        yield Series(FEEDBACK, (NO_METRIC, NO_METRIC, result))
