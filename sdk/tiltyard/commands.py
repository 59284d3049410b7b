"""The commands of `tiltyard`. Each imports what it needs when it runs: help must be quick."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tiltyard.clustercommands import app as cluster
from tiltyard.convert.frameworks import Framework
from tiltyard.options import Files, Format, Namespace, Output, StepName
from tiltyard_api.limits import LIMITS
from tiltyard_api.names import DATA_PORT, MANAGEMENT_PORT
from tiltyard_api.quantities import DURATION_PATTERN
from tiltyard_api.recordfiles import DEFAULT_FOLDER

app = typer.Typer(
    help="Serve models and try new ones against them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class Shell(StrEnum):
    """Shells that complete lines."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@dataclass(frozen=True, slots=True)
class Stand:
    """A folder of this machine that stands in for something of a cluster."""

    name: str
    folder: Path


def _limit(name: str) -> object:
    """Option for a limit of the data port; the engine knows its default."""
    limit = LIMITS[name]

    def checked(text: str) -> str:
        try:
            limit.read(text)
        except ValueError as error:
            raise typer.BadParameter(str(error)) from error
        return text

    text = f"{limit.what} Default {limit.default}."
    return typer.Option(f"--{name}", parser=checked, metavar="VALUE", help=text)


def _folders(what: str) -> object:
    """Option that names folders of this machine in place of what a cluster would mount."""

    def named(text: str) -> Stand:
        name, equals, folder = text.partition("=")
        if not name or not equals or not Path(folder).is_dir():
            raise typer.BadParameter(f"{text!r} is not NAME=FOLDER with a folder that exists")
        return Stand(name, Path(folder).absolute())

    return typer.Option(parser=named, metavar="NAME=FOLDER", help=what)


def _version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        from importlib.metadata import version

        from tiltyard.notices import result

        result(f"tiltyard {version('tiltyard')}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which it is.")
    ] = False,
) -> None:
    """`cli.main` acts on --debug: it stands for the whole program."""
    del debug, version


@app.command()
def demo(
    *, once: Annotated[bool, typer.Option("--once", help="End after the table.")] = False
) -> None:
    """Serve an example and send real traffic through its split."""
    from tiltyard.demo import demo as run

    run(once=once)


@app.command()
def serve(  # noqa: PLR0913 - one argument an option
    files: Files,
    *,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="For requests; 0: any free one.")
    ] = DATA_PORT,
    management_port: Annotated[
        int, typer.Option(min=0, max=65535, help="For metrics and status; likewise.")
    ] = MANAGEMENT_PORT,
    grpc_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="For gRPC; likewise. Default: 8081 if it is free."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes that answer.")] = 1,
    pvc: Annotated[list[Stand] | None, _folders("A folder in place of a volume.")] = None,
    secret: Annotated[list[Stand] | None, _folders("A folder in place of a Secret.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow changes of the files.")] = False,
    records: Annotated[
        Path,
        typer.Option(metavar="FOLDER|off", help="Where records go, if manifests do not say."),
    ] = Path(DEFAULT_FOLDER),
    max_body: Annotated[str | None, _limit("max-body")] = None,
    max_rows: Annotated[str | None, _limit("max-rows")] = None,
    max_header_bytes: Annotated[str | None, _limit("max-header-bytes")] = None,
    header_timeout: Annotated[str | None, _limit("header-timeout")] = None,
    body_timeout: Annotated[str | None, _limit("body-timeout")] = None,
    keep_alive: Annotated[str | None, _limit("keep-alive")] = None,
    max_depth: Annotated[str | None, _limit("max-depth")] = None,
    max_in_flight: Annotated[str | None, _limit("max-in-flight")] = None,
    max_connections: Annotated[str | None, _limit("max-connections")] = None,
    validation_budget: Annotated[str | None, _limit("validation-budget")] = None,
    grace: Annotated[str | None, _limit("grace")] = None,
    drain_delay: Annotated[str | None, _limit("drain-delay")] = None,
    feedback_age: Annotated[str | None, _limit("feedback-age")] = None,
) -> None:
    """Serve Pipelines on this machine."""
    from tiltyard.local.serve import Options
    from tiltyard.local.serve import serve as run

    limits = {
        "max-body": max_body,
        "max-rows": max_rows,
        "max-header-bytes": max_header_bytes,
        "header-timeout": header_timeout,
        "body-timeout": body_timeout,
        "keep-alive": keep_alive,
        "max-depth": max_depth,
        "max-in-flight": max_in_flight,
        "max-connections": max_connections,
        "validation-budget": validation_budget,
        "grace": grace,
        "drain-delay": drain_delay,
        "feedback-age": feedback_age,
    }
    given = {name: value for name, value in limits.items() if value is not None}
    claims, secrets = ({one.name: one.folder for one in many or ()} for many in (pvc, secret))
    kept = None if str(records) == "off" else records
    options = Options(host, port, management_port, workers, given, grpc_port, claims, secrets, kept)
    run(files, options, watch=watch)


@app.command()
def validate(files: Files) -> None:
    """Say everything that is wrong with manifests."""
    from tiltyard.validate import validate as run

    run(files)


@app.command()
def infer(
    pipeline: Annotated[str, typer.Argument(metavar="PIPELINE", help="Its name.")],
    *,
    data: Annotated[str, typer.Option(metavar="FILE|-", help="Records, as JSON.")],
    url: Annotated[str, typer.Option(help="Where it is served.")] = (
        f"http://127.0.0.1:{DATA_PORT}"
    ),
    output: Output = Format.TABLE,
) -> None:
    """Send records to a Pipeline and show what it answers."""
    from tiltyard.infer import infer as run

    run(pipeline, data, url, output.value)


def _share(text: str) -> float:
    """Read a share: 0.02 or 2%."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no share: write it like 0.02 or 2%") from error
    if not 0 <= share <= 1:
        raise typer.BadParameter(f"{text} is not between 0 and 1 (100%)")
    return share


def _duration(text: str) -> str:
    if not re.fullmatch(DURATION_PATTERN, text):
        raise typer.BadParameter(f"{text!r} is no duration: write it like 10m or 1h30m")
    return text


@app.command()
def report(
    what: Annotated[
        str, typer.Argument(metavar="PIPELINE|FILE", help="Of a cluster, or what is served here.")
    ],
    *,
    namespace: Namespace = None,
    url: Annotated[str, typer.Option(help="Management port of what serves FILE.")] = (
        f"http://127.0.0.1:{MANAGEMENT_PORT}"
    ),
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page of it, too.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Say what an experiment and shadows have shown."""
    from tiltyard.report import report as run

    run(what, namespace, url, output.value, html)


@app.command()
def logs(  # noqa: PLR0913 - one argument an option
    target: Annotated[
        str,
        typer.Argument(metavar="FILE|PIPELINE|FOLDER", help="Whose records; a store's uri too."),
    ],
    *,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on showing what comes until Ctrl-C.")
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(parser=_duration, metavar="DURATION", help="How far back, such as 1h."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000_000, help="Newest rows.")] = 100,
    variant: Annotated[
        str | None, typer.Option(metavar="MODEL|STEP=MODEL", help="Rows that it served.")
    ] = None,
    inference_id: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="Rows of this inference id.")
    ] = None,
    anomaly: Annotated[
        str | None,
        typer.Option(metavar="NAME|*", help="Rows that this validation, or any, objected to."),
    ] = None,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
) -> None:
    """Show what was asked and answered, where that is recorded."""
    from datetime import timedelta

    from tiltyard.logs import Query
    from tiltyard.logs import logs as run
    from tiltyard_api.quantities import seconds

    back = timedelta(seconds=seconds(since)) if since else None
    query = Query(back, limit, variant, inference_id, anomaly, output.value)
    run(target, namespace, query, follow=follow)


@app.command()
def simulate(  # noqa: PLR0913 - one argument an option
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="Manifest with a canary.")
    ] = None,
    *,
    rate: Annotated[float, typer.Option(min=0.001, help="Units a second, over all pods.")],
    errors: Annotated[
        float, typer.Option(parser=_share, metavar="SHARE", help="What the stable model fails.")
    ],
    candidate_errors: Annotated[
        float, typer.Option(parser=_share, metavar="SHARE", help="What the candidate fails.")
    ],
    linear: Annotated[
        str, typer.Option(parser=_duration, metavar="DURATION", help="A ramp, without FILE.")
    ] = "1h",
    limit: Annotated[
        str | None,
        typer.Option(parser=_duration, metavar="DURATION", help="How long one is watched."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, max=100_000, help="How many canaries.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed, the same canaries.")] = 0,
    step: StepName = None,
    output: Output = Format.TABLE,
) -> None:
    """Say how often and how soon a canary would be rolled back."""
    from tiltyard.simulate import Question, answer
    from tiltyard_core.simulate import Traffic

    traffic = Traffic(rate, errors, candidate_errors)
    answer(Question(file, step, linear, traffic, runs, seed, limit), output.value)


@app.command()
def lock(
    archive: Annotated[Path, typer.Argument(metavar="MODEL.zip", help="A Python model.")],
) -> None:
    """Pin what a Python model requires, as a cluster wants it."""
    from tiltyard.lock import lock as run

    run(archive)


@app.command()
def convert(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File or folder of a framework.")],
    *,
    to: Annotated[Path, typer.Option(metavar="FILE.onnx", help="Where the result goes.")],
    framework: Annotated[
        Framework | None, typer.Option(help="What wrote it, where that cannot be seen.")
    ] = None,
    rows: Annotated[
        Path | None, typer.Option(help="Rows to compare on, as JSON or CSV; else made up.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Largest relative difference of answers.")
    ] = 1e-4,
    python: Annotated[
        Path | None, typer.Option(help="An interpreter of yours that has the framework.")
    ] = None,
) -> None:
    """Convert a model into ONNX and show that it answers alike."""
    from tiltyard.convert.command import Options
    from tiltyard.convert.command import convert as run

    run(model, to, Options(framework, rows, tolerance, python))


@app.command()
def completion(
    shell: Annotated[Shell, typer.Argument(metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print what makes a shell complete lines."""
    from typer.completion import get_completion_script  # type: ignore[attr-defined] # not declared

    from tiltyard.cli import COMPLETE
    from tiltyard.notices import result

    result(get_completion_script(prog_name="tiltyard", complete_var=COMPLETE, shell=shell.value))


app.add_typer(cluster)
