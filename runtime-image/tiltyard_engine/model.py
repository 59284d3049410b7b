"""What a loaded model is to the steps: arrays in, arrays out, at a cost that is known.

`sessions.py` runs graphs in this process, `python/` runs functions in processes of their own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tiltyard_api.plan import PlanModel, PlanTensor
from tiltyard_api.tensors import ANY_LENGTH
from tiltyard_engine.columns import DTYPES, Array

FAR_OUT = 1e3
"""One made-up row lies this many standard deviations out, so that a quantised graph shows that
the rows of a batch share a scale."""


class ModelError(Exception):
    """A model could not run on what it was given."""


class ModelTimeoutError(ModelError):
    """A call took longer than the model's timeout and was ended."""


class ModelDownError(ModelError):
    """The model runs nowhere at the moment; it was not asked."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs, from two measured batches: seconds = fixed + rows * per_row."""

    fixed: float
    per_row: float

    def of(self, rows: int) -> float:
        """Seconds that a call with this many rows takes."""
        return self.fixed + rows * self.per_row


DEAR = Cost(fixed=1.0, per_row=0.0)
"""Cost of a model that must not run in the event loop, whatever it was measured at."""


class Model(Protocol):
    """A loaded model."""

    model: PlanModel
    cost: Cost
    batchable: bool
    """Whether requests may be stacked: rows give the very bits in a batch that they give alone."""

    waits: bool
    """Whether a call waits for another process, so that several may well run at once."""

    def run(self, inputs: Sequence[Array], *, timeout: float | None = None) -> list[Array]:
        """Run one call: an array for each input of the plan, in order; likewise the outputs.

        Raises:
            ModelDownError: the model runs nowhere; nobody was asked.
            ModelTimeoutError: the call was ended at its deadline.
            ModelError: the model failed.

        """

    def run_each(
        self, calls: Iterable[Sequence[Array]], *, timeout: float | None = None
    ) -> list[list[Array]]:
        """Run several calls that have the timeout together; the first error ends them all."""

    def learn(self) -> None:
        """Warm up, and find out what a call costs."""

    def why_down(self) -> str | None:
        """Why no call can be served at the moment; None where one can."""

    def after_fork(self) -> None:
        """Make anew what does not survive a fork, in the child."""


def made_up(model: PlanModel, rows: int, free: int = 1) -> list[Array]:
    """Inputs that were made up: seeded noise, the second row far out, free lengths as given."""
    random = np.random.default_rng(rows)
    return [_made_up(tensor, rows, model, random, free) for tensor in model.inputs]


def _made_up(
    tensor: PlanTensor, rows: int, model: PlanModel, random: np.random.Generator, free: int
) -> Array:
    lengths = [free if length == ANY_LENGTH else length for length in tensor.shape]
    shape = [rows, *lengths] if model.row_dimension else lengths
    kind = DTYPES[tensor.type].kind
    if kind == "O":
        return np.full(shape, "a", dtype=object)
    if kind != "f":
        return np.asarray(random.integers(0, 2, shape)).astype(DTYPES[tensor.type])
    noise = random.standard_normal(shape)
    if model.row_dimension and rows > 1:
        noise[1] *= FAR_OUT
    return noise.astype(DTYPES[tensor.type])
