"""`tiltyard demo`: two trained models share real traffic, and one sees which is better."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiltyard
from tiltyard.failure import Failure
from tiltyard.local.compiled import Compiled, compile_all
from tiltyard.local.resolving import Sources, store_folder
from tiltyard.local.service import Service, serving
from tiltyard.local.signals import Stopped, held_signals, pause
from tiltyard.local.sockets import PortTaken, Sockets, open_sockets
from tiltyard.manifests import read_manifests
from tiltyard.notices import notice, result
from tiltyard.samples import curl_command
from tiltyard.tables import plain_table, show
from tiltyard.traffic import Outcome, Traffic, summarise
from tiltyard_api.names import DATA_PORT, MANAGEMENT_PORT
from tiltyard_api.routing import SplitRouting

EXAMPLE = Path("examples", "bike-demand")
HOST = "127.0.0.1"
IDLE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Example:
    """A folder with a manifest, rows that no model has seen, and what was true of them."""

    folder: Path

    @property
    def manifest(self) -> Path:
        """The Pipeline."""
        return self.folder / "pipeline.yaml"

    def records(self) -> list[dict[str, Any]]:
        """Rows to send."""
        return list(json.loads((self.folder / "held-out.json").read_bytes()))

    def truth(self) -> list[float]:
        """What each row should have given."""
        return list(json.loads((self.folder / "truth.json").read_bytes()))


def demo(*, once: bool) -> None:
    """Serve the example, send its rows, show what came of it; then go on serving.

    Args:
        once: end after the table.

    Raises:
        Failure: the example is not there, or not every row was answered.

    """
    try:
        with held_signals(), _example_served() as (example, service):
            _try_out(example, service)
            if not once:
                plan = service.compiled[0].plan
                curl = curl_command(plan, service.url, example.records()[0])
                result(f"\nstill serving at {service.url} until Ctrl-C; try:\n{curl}")
                while True:
                    pause(IDLE_SECONDS)
                    service.check()
    except Stopped:
        return


def find_example() -> Example:
    """Give the example: it lies in the package, or beside it in a checkout.

    Raises:
        Failure: it does not.

    """
    package = Path(tiltyard.__file__).parent
    for folder in (package / EXAMPLE, package.parents[1] / EXAMPLE):
        if folder.is_dir():
            return Example(folder)
    raise Failure("the example bike-demand is not installed: run this from a checkout")


@contextmanager
def _example_served() -> Iterator[tuple[Example, Service]]:
    example, store = find_example(), store_folder()
    compiled = compile_all(read_manifests([example.manifest]).served(), Sources(store))
    limits = {"drain-delay": "0s"}  # no load balancer has to learn that we end
    with serving(compiled, _sockets(), store, limits) as service:
        result(f"serving {example.manifest} at {service.url}")
        yield example, service


def _try_out(example: Example, service: Service) -> None:
    compiled, records = service.compiled[0], example.records()
    (step, wanted), *_ = _shares(compiled).items()
    traffic = Traffic(service.url, compiled.plan.pipeline, step, records)
    output = compiled.plan.steps[-1].outputs[0].name
    _show(traffic.send(), example.truth(), wanted, output)


def _show(
    outcomes: list[Outcome], truth: list[float], wanted: dict[str, float], output: str
) -> None:
    """Print the table: what each variant was meant to get, got, and made of it."""
    table = plain_table(
        "variant", "wanted", "got", "requests", "p50 ms", "p99 ms", "mean abs error"
    )
    for one in summarise(outcomes, truth, list(wanted), output):
        table.add_row(
            one.variant,
            f"{wanted[one.variant]:.1%}",
            f"{one.requests / len(outcomes):.1%}",
            str(one.requests),
            f"{one.p50_ms:.2f}",
            f"{one.p99_ms:.2f}",
            f"{one.mean_absolute_error:.1f}",
        )
    show(table)


def _shares(compiled: Compiled) -> dict[str, dict[str, float]]:
    """Share of each variant of each split, by step."""
    return {
        step: {
            name: weight / sum(routing.weights.values()) for name, weight in routing.weights.items()
        }
        for step, routing in compiled.routing(0).steps.items()
        if isinstance(routing, SplitRouting)
    }


def _sockets() -> Sockets:
    """Give the usual ports, or free ones where something else has them."""
    try:
        return open_sockets(HOST, DATA_PORT, MANAGEMENT_PORT, workers=1)
    except PortTaken as taken:
        notice(f"port {taken.port} is taken: free ones are used")
        return open_sockets(HOST, 0, 0, workers=1)
