"""Which records an engine keeps.

A stream for each Pipeline, and one for each of its challengers whose answers nobody waits for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tiltyard_api.plan import Plan, PlanRecords
from tiltyard_api.recordfiles import FEEDBACK, INFERENCES
from tiltyard_engine.counters import CounterFile, Series
from tiltyard_engine.outbox import logged
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.recording.results import KEPT, LOST


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of records of one Pipeline."""

    loaded: Loaded
    records: PlanRecords
    name: str

    @property
    def labels(self) -> tuple[str, str]:
        """As metrics name it."""
        return self.loaded.plan.pipeline, self.name


def streams_of(loaded: Sequence[Loaded]) -> list[Stream]:
    """Every stream, in the order by which all processes number them."""
    return [
        Stream(one, one.records, name)
        for one in loaded
        if one.records
        for name in (*worker_streams(one.plan), *challenger_streams(one.plan))
    ]


def worker_streams(plan: Plan) -> tuple[str, ...]:
    """Streams that workers hand over themselves."""
    return (INFERENCES, FEEDBACK) if plan.experiment else (INFERENCES,)


def challenger_streams(plan: Plan) -> Iterator[str]:
    """Streams of challengers that log, by step and model."""
    return (f"{key.step}.{key.challenger}" for key, _, _ in logged([plan]))


def unsettled(counters: CounterFile, labels: tuple[str, str]) -> int:
    """Rows of a stream that are offered, and neither in a file nor known to be lost."""
    settled = counters.total(Series(KEPT, labels)) + sum(
        counters.total(Series("tiltyard_records_total", (*labels, result))) for result in LOST
    )
    return counters.total(Series("tiltyard_records_offered_total", labels)) - settled
