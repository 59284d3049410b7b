"""Has models fetched and tried by the engine's fetcher: a child, since files may be bad."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from tiltyard.failure import Failure
from tiltyard.local.progress import progress_bars
from tiltyard.local.signals import Stopped, pause
from tiltyard_api.resolved import ModelToResolve, Resolution, ResolveReport, ResolveRequest

# -P: a file of the working folder never stands in for a module of ours.
FETCHER = (sys.executable, "-P", "-m", "tiltyard_engine.fetch", "models")


def store_folder() -> Path:
    """Folder that keeps models by their digests, shared by everything that serves here."""
    own = os.environ.get("TILTYARD_CACHE")
    if own:
        return Path(own) / "models"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tiltyard" / "models"


@dataclass(frozen=True, slots=True)
class Sources:
    """What models are fetched with, and into what."""

    store: Path
    claims: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for volumes."""

    secrets: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand in for Secrets."""

    def flags(self) -> Iterator[str]:
        """Give the arguments of the engine's fetcher.

        On the user's own machine its own addresses are as good as any, and so are requirements that
        nobody locked.
        """
        yield from ("--into", str(self.store), "--installs", "any")
        yield from ("--allow-address", "0.0.0.0/0", "--allow-address", "::/0")
        for option, folders in (("--pvc", self.claims), ("--secret", self.secrets)):
            for name, folder in folders.items():
                yield from (option, f"{name}={folder}")


def resolve(models: Sequence[ModelToResolve], sources: Sources) -> list[Resolution]:
    """Find out what models are, in the order asked.

    Raises:
        Failure: the engine is not installed.

    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise Failure("the engine is not installed: pip install 'tiltyard[engine]'")
    request = ResolveRequest(models=tuple(models))
    code, output, complaint = _run(request.model_dump_json(by_alias=True), sources)
    try:
        return list(ResolveReport.model_validate_json(output).models)
    except ValidationError:
        pass  # it ended early: one of the models is to blame, or all could be
    if len(models) > 1:
        return [found for model in models for found in resolve([model], sources)]
    last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
    uri = models[0].entry.source.uri
    return [Resolution(fault=f"reading {uri} {how_it_ended(code)}: {last}")]


def _run(request: str, sources: Sources) -> tuple[int, str, str]:
    """Run the fetcher: exit code, output and complaints."""
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as complaints,
        progress_bars() as bars,
    ):
        given.write(request)
        given.seek(0)
        child = subprocess.Popen(  # noqa: S603 - our own program
            [*FETCHER, *sources.flags(), *bars.flags()],
            stdin=given,
            stdout=output,
            stderr=complaints,
            pass_fds=bars.inherited,
        )
        try:
            while child.poll() is None:
                pause(bars.draw())
        except Stopped:
            child.kill()
            child.wait()
            raise
        output.seek(0)
        complaints.seek(0)
        return child.returncode, output.read(), complaints.read()


def how_it_ended(code: int) -> str:
    """Words for the exit code of a child that should not have ended so."""
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
