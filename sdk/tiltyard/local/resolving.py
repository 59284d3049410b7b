"""Has models fetched and looked at by the engine's resolver: a child, since files may be bad."""

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from tiltyard.failure import Failure
from tiltyard.local.signals import Stopped, pause
from tiltyard_api.resolved import ModelToResolve, Resolution, ResolveReport, ResolveRequest

# -P: a file of the working folder never stands in for a module of ours.
RESOLVER = (sys.executable, "-P", "-m", "tiltyard_engine.resolve")


def store_folder() -> Path:
    """Folder that keeps models by their digests, shared by everything that serves here."""
    own = os.environ.get("TILTYARD_CACHE")
    if own:
        return Path(own) / "models"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tiltyard" / "models"


def resolve(models: Sequence[ModelToResolve], store: Path) -> list[Resolution]:
    """Find out what models are, in the order asked.

    Raises:
        Failure: the engine is not installed.

    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise Failure("the engine is not installed: pip install 'tiltyard[engine]'")
    request = ResolveRequest(store=str(store), models=tuple(models))
    code, output, complaint = _run(request.model_dump_json(by_alias=True))
    try:
        return list(ResolveReport.model_validate_json(output).models)
    except ValidationError:
        pass  # it ended early: one of the models is to blame, or all could be
    if len(models) > 1:
        return [found for model in models for found in resolve([model], store)]
    last = (complaint.strip().splitlines() or ["it said nothing"])[-1]
    uri = models[0].entry.source.uri
    return [Resolution(fault=f"reading {uri} {how_it_ended(code)}: {last}")]


def _run(request: str) -> tuple[int, str, str]:
    """Run the resolver: exit code, output and complaints."""
    with (
        tempfile.TemporaryFile("w+") as given,
        tempfile.TemporaryFile("w+") as output,
        tempfile.TemporaryFile("w+") as complaints,
    ):
        given.write(request)
        given.seek(0)
        child = subprocess.Popen(RESOLVER, stdin=given, stdout=output, stderr=complaints)  # noqa: S603 - our own program
        try:
            while child.poll() is None:
                pause(1.0)
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
