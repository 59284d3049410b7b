"""Commands that ask a cluster. Each imports what it needs when it runs: help must be quick."""

from typing import Annotated

import typer

from tiltyard.options import Files, Format, Name, Namespace, Output, StepName

app = typer.Typer()

Seconds = Annotated[float, typer.Option(min=0, help="Seconds to wait; 0: do not wait.")]


@app.command()
def apply(files: Files, *, namespace: Namespace = None, timeout: Seconds = 600) -> None:
    """Apply manifests and wait until they are in force."""
    from tiltyard.versions import apply as run

    run(files, namespace, timeout)


@app.command()
def status(
    pipeline: Name,
    *,
    namespace: Namespace = None,
    watch: Annotated[
        bool, typer.Option("-w", "--watch", help="Go on showing it until Ctrl-C.")
    ] = False,
    output: Output = Format.TABLE,
) -> None:
    """Show how a Pipeline of a cluster fares."""
    from tiltyard.status import status as run

    run(pipeline, namespace, output.value, watch=watch)


@app.command()
def history(pipeline: Name, *, namespace: Namespace = None, output: Output = Format.TABLE) -> None:
    """Show the versions of a Pipeline."""
    from tiltyard.versions import history as run

    run(pipeline, namespace, output.value)


@app.command()
def rollback(
    pipeline: Name,
    *,
    to: Annotated[
        int | None, typer.Option(metavar="VERSION", help="Which; default: the one before.")
    ] = None,
    namespace: Namespace = None,
    timeout: Seconds = 600,
) -> None:
    """Go back to an earlier version, with today's weights."""
    from tiltyard.versions import rollback as run

    run(pipeline, namespace, to, timeout)


@app.command()
def undeploy(pipeline: Name, *, namespace: Namespace = None, timeout: Seconds = 120) -> None:
    """Take the pods of a Pipeline away; everything else stays."""
    from tiltyard.versions import undeploy as run

    run(pipeline, namespace, timeout)


@app.command()
def promote(pipeline: Name, *, namespace: Namespace = None, step: StepName = None) -> None:
    """Let a canary go on to its next stage."""
    from tiltyard.versions import promote as run

    run(pipeline, namespace, step)


@app.command()
def abort(pipeline: Name, *, namespace: Namespace = None, step: StepName = None) -> None:
    """Take the candidate of a canary out of the way."""
    from tiltyard.versions import abort as run

    run(pipeline, namespace, step)
