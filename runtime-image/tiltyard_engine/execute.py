"""Runs a model for several calls at once, stacked where that changes no bit of an answer."""

from collections.abc import Sequence

import msgspec
import numpy as np

from tiltyard_api.plan import PlanModel
from tiltyard_api.reasons import Reason
from tiltyard_api.v1alpha1.models import Batch
from tiltyard_engine.columns import DTYPES, Array, Column, Columns, joined, ragged, row_of, stack
from tiltyard_engine.errors import Refusal
from tiltyard_engine.model import Model, ModelDownError, ModelError, ModelTimeoutError


class Ran(msgspec.Struct):
    """What a model gave for one job."""

    outputs: Columns
    nonfinite: int
    """NaN and infinities among the numbers."""


Outcome = Ran | Refusal


class Job(msgspec.Struct):
    """The rows of one call that one model is to see."""

    inputs: Columns
    rows: int


def execute(session: Model, jobs: Sequence[Job], timeout: float | None) -> list[Outcome]:
    """Run a model.

    Args:
        session: the loaded model.
        jobs: what to run it on; requests never see each other's rows.
        timeout: seconds for each call of the model; None: to its end.

    Returns:
        Outputs by name, or what the caller is told, for each job in order.

    """
    if len(jobs) > 1 and session.batchable:
        together = _stacked(session, jobs, timeout)
        if together is not None:
            return together
    return [_alone(session, job, timeout) for job in jobs]


def _stacked(session: Model, jobs: Sequence[Job], timeout: float | None) -> list[Outcome] | None:
    """One call for all jobs; None where it cannot be, or failed: only the culprit is refused."""
    inputs: list[Array] = []
    for tensor in session.model.inputs:
        together = joined([job.inputs[tensor.name] for job in jobs])
        if together is None:
            return None
        inputs.append(together)
    rows = sum(job.rows for job in jobs)
    try:
        outputs = session.run(inputs, timeout=timeout)
    except ModelError:
        return None
    if any(not array.shape or array.shape[0] != rows for array in outputs):
        return None
    named = [(t.name, array) for t, array in zip(session.model.outputs, outputs, strict=True)]
    finite = not any(map(_nonfinite, outputs))
    results: list[Outcome] = []
    start = 0
    for job in jobs:
        end = start + job.rows
        mine: Columns = {name: array[start:end] for name, array in named}
        results.append(Ran(mine, 0 if finite else _count_nonfinite(mine)))
        start = end
    return results


def _alone(session: Model, job: Job, timeout: float | None) -> Outcome:
    """Run one job; what goes wrong becomes the caller's answer."""
    model = session.model
    try:
        if model.batch is Batch.SINGLE or ragged(job.inputs):
            return _ran(_row_by_row(session, job, timeout))
        outputs = session.run(
            [job.inputs[tensor.name] for tensor in model.inputs],  # type: ignore[misc]  # not ragged
            timeout=timeout,
        )
        _check_rows(model, outputs, job.rows)
    except Refusal as refusal:
        return refusal
    except ModelTimeoutError as error:
        return Refusal(Reason.MODEL_TIMEOUT, f"model {model.name!r} {error}: try a smaller batch")
    except ModelDownError as error:
        return Refusal(Reason.NOT_READY, f"model {model.name!r} {error}")
    except ModelError as error:
        return Refusal(Reason.MODEL_FAILED, f"model {model.name!r} failed: {error}")
    return _ran({t.name: a for t, a in zip(model.outputs, outputs, strict=True)})


def _check_rows(model: PlanModel, outputs: Sequence[Array], rows: int) -> None:
    """Refuse outputs that cannot be told apart by row."""
    for tensor, array in zip(model.outputs, outputs, strict=True):
        if array.shape[:1] != (rows,):
            message = f"gave {tensor.name!r} of shape {list(array.shape)} for {rows} rows"
            raise Refusal(Reason.MODEL_FAILED, f"model {model.name!r} {message}: set batch: single")


def _row_by_row(session: Model, job: Job, timeout: float | None) -> Columns:
    """One call a row. For `single` the whole output is the row's value."""
    model = session.model
    results = session.run_each(
        (_row_feeds(model, job, row) for row in range(job.rows)), timeout=timeout
    )
    if model.batch is not Batch.SINGLE:
        for outputs in results:
            _check_rows(model, outputs, 1)
        results = [[array[0, ...] for array in outputs] for outputs in results]
    return {
        tensor.name: stack([np.asarray(value, DTYPES[tensor.type]) for value in values])
        for tensor, values in zip(model.outputs, zip(*results, strict=True), strict=True)
    }


def _row_feeds(model: PlanModel, job: Job, row: int) -> list[Array]:
    one = [row_of(job.inputs[tensor.name], row) for tensor in model.inputs]
    return one if model.row_dimension else [array[0, ...] for array in one]


def _ran(outputs: Columns) -> Ran:
    return Ran(outputs, _count_nonfinite(outputs))


def _count_nonfinite(outputs: Columns) -> int:
    return sum(map(_nonfinite, outputs.values()))


def _nonfinite(column: Column) -> int:
    if isinstance(column, list):
        return sum(map(_nonfinite, column))
    if column.dtype.kind != "f":
        return 0
    finite = np.isfinite(column)
    return 0 if finite.all() else int(finite.size - np.count_nonzero(finite))
