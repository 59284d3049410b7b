"""Commands that put Pipelines of a cluster in force. Each imports what it needs when it runs."""

from enum import StrEnum
from typing import Annotated

import typer

from tiltyard.options import Files, Format, Name, Namespace

app = typer.Typer()

Seconds = Annotated[float, typer.Option(min=0, help="Seconds to wait; 0: do not wait.")]


class Shell(StrEnum):
    """Shells that complete lines."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def apply(files: Files, *, namespace: Namespace = None, timeout: Seconds = 600) -> None:
    """Apply manifests to a cluster, and wait until they are in force."""
    from tiltyard.versions import apply as run

    run(files, namespace, timeout)


@app.command()
def undeploy(pipeline: Name, *, namespace: Namespace = None, timeout: Seconds = 120) -> None:
    """Take the pods of a Pipeline away; everything else stays."""
    from tiltyard.versions import undeploy as run

    run(pipeline, namespace, timeout)


@app.command()
def history(
    pipeline: Name,
    *,
    namespace: Namespace = None,
    output: Annotated[Format, typer.Option("-o", "--output", help="How to show it.")] = (
        Format.TABLE
    ),
) -> None:
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
    """Go back to an earlier version: its steps, the very bytes, today's weights."""
    from tiltyard.versions import rollback as run

    run(pipeline, namespace, to, timeout)


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(help="Which shell.")],
) -> None:
    """Print what makes a shell complete lines."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    from tiltyard.cli import COMPLETE
    from tiltyard.notices import result

    result(get_completion_script(prog_name="tiltyard", complete_var=COMPLETE, shell=shell.value))
