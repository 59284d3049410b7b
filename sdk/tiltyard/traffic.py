"""Sends records one by one, as users would, and sums up what each variant made of them."""

import json
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tiltyard.local.signals import pause
from tiltyard.notices import result
from tiltyard.transport import Transport, refusal

CLIENTS = 2
"""Connections at once: more would only wait for each other in this one process."""

OK = 200
REFRESH_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one record."""

    index: int
    variant: str
    milliseconds: float
    """As the client saw it."""

    out: dict[str, Any]


@dataclass(frozen=True, slots=True)
class VariantSummary:
    """What a variant made of its records."""

    variant: str
    requests: int
    p50_ms: float
    p99_ms: float
    mean_absolute_error: float


class Traffic:
    """Records on their way to a Pipeline.

    Args:
        url: where it is served.
        pipeline: its name.
        step: the step whose variants are told apart.
        records: one request each.

    """

    def __init__(
        self, url: str, pipeline: str, step: str, records: Sequence[dict[str, Any]]
    ) -> None:
        self._engine = Transport(url, CLIENTS)
        self._path = f"/pipelines/{pipeline}"
        self._step = step
        self._records = records
        self._outcomes: list[list[Outcome]] = [[] for _ in range(CLIENTS)]
        self._ended = Event()

    def send(self) -> list[Outcome]:
        """Send everything and show how far it is.

        Raises:
            Failure: a record was not answered.
            Stopped: told to end meanwhile.

        """
        with self._engine, ThreadPoolExecutor(CLIENTS) as clients, _progress(self._total) as moved:
            running = [clients.submit(self._send_share, number) for number in range(CLIENTS)]
            try:
                while not all(future.done() for future in running):
                    pause(REFRESH_SECONDS)
                    moved(sum(map(len, self._outcomes)))
                for future in running:
                    future.result()
            finally:
                self._ended.set()
            moved(self._total)
        return [outcome for share in self._outcomes for outcome in share]

    @property
    def _total(self) -> int:
        return len(self._records)

    def _send_share(self, number: int) -> None:
        """Send every record whose turn it is for one client."""
        try:
            for index in range(number, self._total, CLIENTS):
                if self._ended.is_set():
                    return
                self._outcomes[number].append(self._send_one(index))
        except BaseException:
            self._ended.set()  # the others need not go on
            raise

    def _send_one(self, index: int) -> Outcome:
        body = json.dumps([self._records[index]]).encode()
        start = time.perf_counter()
        answer = self._engine.post_json(self._path, body)
        took = time.perf_counter() - start
        if answer.status != OK:
            raise refusal(answer)
        row = answer.json()[0]
        return Outcome(index, row["metadata"]["variants"][self._step], took * 1000, row["out"])


def summarise(
    outcomes: Sequence[Outcome], truth: Sequence[float], variants: Sequence[str], output: str
) -> Iterator[VariantSummary]:
    """Sum up each variant that served anything.

    Args:
        outcomes: what became of the records.
        truth: what each record should have given, by its index.
        variants: in the order to tell them.
        output: the output to judge; one number a row.

    """
    for variant in variants:
        mine = [outcome for outcome in outcomes if outcome.variant == variant]
        if not mine:
            continue
        times = sorted(outcome.milliseconds for outcome in mine)
        errors = [abs(outcome.out[output][0] - truth[outcome.index]) for outcome in mine]
        yield VariantSummary(
            variant,
            len(mine),
            statistics.median(times),
            times[int(len(times) * 0.99)],
            statistics.fmean(errors),
        )


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """Give a function that is told how many records are done: a bar on a terminal, else nothing."""
    result(f"sending {total} records, one a request")
    if not sys.stdout.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, transient=True) as progress:
        task = progress.add_task("requests", total=total)
        yield lambda done: progress.update(task, completed=done)
