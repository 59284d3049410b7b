"""`tiltyard status`: how a Pipeline of a cluster fares, for people and for programs."""

import time
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tiltyard.cluster import Cluster, Object, read_status
from tiltyard.failure import Failure
from tiltyard.notices import document
from tiltyard.tables import console, percent, plain_table
from tiltyard_api.v1alpha1.stage import Guard
from tiltyard_api.v1alpha1.status import Condition, PipelineStatus, StepStatus

LOOKS_EVERY = 2.0
"""Seconds between two looks of `--watch`: as often as the operator asks pods."""

GUARDS = {
    Guard.ERRORS: "failed",
    Guard.LATENCY: "slow",
    Guard.INVALID: "invalid",
}


def status(name: str, namespace: str | None, output: str, *, watch: bool) -> None:
    """Show the status of a Pipeline.

    Args:
        name: the Pipeline's.
        namespace: where it is; None: where the kubeconfig says.
        output: `table`, `json` or `yaml`.
        watch: go on showing it until Ctrl-C.

    Raises:
        Failure: there is no such Pipeline, or no cluster.

    """
    if watch and output != "table":
        raise Failure(f"--watch shows a table: leave out -o {output}, or --watch")
    with Cluster(namespace) as cluster:
        pipeline = cluster.pipeline(name)
        if watch:
            _follow(cluster, pipeline)
        elif output == "table":
            console().print(picture(pipeline))
        else:
            document(pipeline.get("status") or {}, output)


def picture(pipeline: Object) -> RenderableType:
    """Draw what the status says."""
    found = read_status(pipeline)
    parts: list[RenderableType] = [Text(line) for line in _head(pipeline, found)]
    parts += [Text(""), _variants(found.steps or ())]
    for step in found.steps or ():
        if step.stage:
            parts += [Text(""), *_canary(step)]
    return Group(*parts)


def condition(found: PipelineStatus, kind: str) -> Condition | None:
    """Find a condition."""
    return next((one for one in found.conditions or () if one.type == kind), None)


def _follow(cluster: Cluster, pipeline: Object) -> None:
    name = pipeline["metadata"]["name"]
    try:
        with Live(picture(pipeline), console=console(), auto_refresh=False) as live:
            while True:
                time.sleep(LOOKS_EVERY)
                live.update(picture(cluster.pipeline(name)), refresh=True)
    except KeyboardInterrupt:
        return


def _head(pipeline: Object, found: PipelineStatus) -> Iterator[str]:
    told = [condition(found, kind) for kind in ("Ready", "CanaryHealthy", "ExperimentConclusive")]
    head = pipeline["metadata"]
    yield f"{head['namespace']}/{head['name']}: {found.phase or 'Pending'}"
    if found.observed_generation != head.get("generation"):
        yield "the operator has not looked at the newest spec yet"
    for one in told:
        if one:
            yield f"{one.type} {one.status}, {one.reason}: {one.message}"
    routing = found.routing
    if routing:
        behind = f", not yet: {', '.join(routing.laggards)}" if routing.laggards else ""
        yield f"routing revision {routing.revision} on {routing.synced} pods{behind}"


def _variants(steps: Sequence[StepStatus]) -> Table:
    counts = ("weight", "in force", "requests", "units", "failed", "p50", "p99", "matched")
    table = plain_table("step", "variant", *counts)
    for step in steps:
        for one in step.variants or ():
            cells = (
                _number(one.weight),
                percent(one.effective),
                _number(one.requests),
                _number(one.units),
                percent(one.error_share),
                _seconds(one.p50),
                _seconds(one.p99),
                percent(one.match_rate),
            )
            table.add_row(step.name, one.model, *cells)
    return table


def _canary(step: StepStatus) -> Iterator[RenderableType]:
    stage = step.stage
    assert stage  # noqa: S101 - for the types
    began = f"{stage.entered:%Y-%m-%d %H:%M:%S %Z}"
    yield Text(f"canary {step.name}: stage {stage.number} of {stage.of}, {stage.id}, {began}")
    if step.latched:
        yield Text(f"  rolled back by {step.latched.by}: {step.latched.message}")
    if step.evidence:
        table = plain_table("  units", "of candidate", "of both", "log evidence", "limit", "")
        for one in step.evidence:
            notes = [word for word in ("saturated", "paused") if getattr(one, word)]
            table.add_row(
                f"  {GUARDS[one.guard]}",
                str(one.candidate),
                str(one.both),
                f"{one.log_evidence:.2f}",
                f"{one.limit:.2f}",
                ", ".join(notes),
            )
        yield table


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{1000 * value:.4g} ms"
