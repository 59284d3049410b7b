"""What every step is: tensors of several calls in, tensors out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tiltyard_api.plan import PlanStep
from tiltyard_api.routing import RoutingTable
from tiltyard_engine.call import Call, Run
from tiltyard_engine.columns import Columns
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job, Ran, execute
from tiltyard_engine.model import Model

Sources = Mapping[str, tuple[str | None, str]]
"""Where inputs come from, by name: (step or None for the request, name there)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What differs from one run to the next: chance, and whether calls may take long."""

    clock: Callable[[], int]
    """Nanoseconds, monotonic."""

    random: Callable[[], int]
    """A fresh draw in [0, 2^64)."""

    watched: bool
    """True off the event loop: every call of a model is ended at its timeout."""


class Step(Protocol):
    """One step of a Pipeline."""

    name: str

    def route(self, table: RoutingTable) -> None:
        """Put the step's part of a routing table in force."""

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Give each call its outputs, or its refusal."""


@dataclass(frozen=True, slots=True)
class ModelRunner:
    """A model in its place in a step: knows where its inputs come from."""

    session: Model
    sources: Sources

    @classmethod
    def in_step(cls, step: PlanStep, session: Model) -> "ModelRunner":
        """Bind a model to the inputs of a step."""
        sources = {source.input: (source.step, source.key) for source in step.inputs}
        return cls(session, {t.name: sources[t.name] for t in session.model.inputs})

    def inputs(self, call: Call) -> Columns:
        """What the model sees of a call."""
        return {
            name: call.tensors[key] if step is None else call.outputs[step][key]
            for name, (step, key) in self.sources.items()
        }

    def run(
        self, step: str, calls: Sequence[Call], jobs: Sequence[Job], context: Context
    ) -> list[Ran | None]:
        """Run the model on jobs of several calls, one job a call.

        A call whose job failed is refused; every run is noted for the metrics.
        """
        timeout = self.session.model.timeout if context.watched else None
        start = context.clock()
        outcomes = execute(self.session, jobs, timeout)
        took = (context.clock() - start) / 1e9
        name = self.session.model.name
        results: list[Ran | None] = []
        for call, job, outcome in zip(calls, jobs, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                call.runs.append(Run(step, name, job.rows, took, outcome.reason))
                call.refuse(outcome, step)
                results.append(None)
            else:
                call.runs.append(Run(step, name, job.rows, took, None, outcome.nonfinite))
                results.append(outcome)
        return results
