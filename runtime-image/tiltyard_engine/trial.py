"""Tries a model in a process of its own: loads it, runs it once, tells what it found.

`python -m tiltyard_engine.trial` is the child. It has little memory, little time, an empty working
folder and no secret in its environment, so that a bad artifact hurts nobody but itself.
"""

import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import Field, ValidationError

from tiltyard_api.artifacts import TrialReport
from tiltyard_api.base import Contract
from tiltyard_api.quantities import seconds
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_core.signature import plan_model, signature_faults
from tiltyard_engine.model import ModelError, ModelTimeoutError, made_up
from tiltyard_engine.onnxfile import NotOnnx, WeightsElsewhere, checked_graph
from tiltyard_engine.parents import end_with_parent
from tiltyard_engine.sessions import Session, signature
from tiltyard_engine.sources.base import ArtifactError, shown

CHILD = (sys.executable, "-P", "-m", "tiltyard_engine.trial")
# -P: a file of the working folder never stands in for a module of ours.

PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TMPDIR", "TZ", "PYTHONPATH")
"""Of our environment: nothing that may hold a secret."""

MOST_WRITTEN = 64 << 20
"""Bytes of one file that a child may write: it has no need to write any."""

MOST_REPORTED = 1 << 20
NO_MEMORY = ("bad_alloc", "bad allocation", "Failed to allocate memory", "MemoryError")
"""How onnxruntime and Python say that there is not enough."""


class Trial(Contract):
    """What a child is asked."""

    entry: ModelEntry
    place: str
    """The artifact: a file, or the folder of its archive."""

    digest: str
    size: int
    memory: int
    """Bytes of data that the child may have."""

    seconds: float
    parent: int = Field(default_factory=os.getpid)
    """Process that wants to know; without it nobody does."""


def tried(trial: Trial) -> ResolvedModel:
    """Try a model in a child.

    Raises:
        ArtifactError: it is no model, or does not load and run.

    """
    with tempfile.TemporaryDirectory(prefix="tiltyard-trial-") as folder:
        code, output, words = _run(trial, folder)
    uri = shown(trial.entry.source.uri)
    if code is None:
        raise _failed(f"{uri} did not load and run within {trial.seconds:g} s")
    try:
        report = TrialReport.model_validate_json(output)
    except ValidationError:
        raise _failed(f"{uri} cannot be loaded: what tried it {_end(code, words)}") from None
    if report.resolved:
        return report.resolved
    raise ArtifactError(report.reason or ConditionReason.LOAD_FAILED, f"{uri} {report.fault}")


def _run(trial: Trial, folder: str) -> tuple[int | None, bytes, bytes]:
    """Run a child to its end: exit code (None: it took too long), report, complaints."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    with tempfile.TemporaryFile() as report, tempfile.TemporaryFile() as words:
        child = subprocess.Popen(  # noqa: S603 - our own program
            CHILD,
            stdin=subprocess.PIPE,
            stdout=report,
            stderr=words,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            child.communicate(trial.model_dump_json(by_alias=True).encode(), trial.seconds)
            code = child.returncode
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _kill_group(child)
        report.seek(0)
        words.seek(max(os.fstat(words.fileno()).st_size - 4096, 0))
        return code, report.read(MOST_REPORTED), words.read()


def _kill_group(child: "subprocess.Popen[bytes]") -> None:
    """End the child and whatever it started."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _end(code: int, words: bytes) -> str:
    if code < 0:
        name = signal.Signals(-code).name
        return f"was ended by {name}: the file is damaged, or needs more memory than there is"
    last = (words.decode(errors="replace").strip().splitlines() or ["it said nothing"])[-1]
    return f"ended with exit code {code}: {last[:500]}"


def look_at(trial: Trial) -> ResolvedModel:
    """Load a model in this very process and run it once.

    Raises:
        ArtifactError: it is no model, or does not load and run; the message goes on after its name.

    """
    with _told(trial):
        path = checked_graph(Path(trial.place))
        inputs, outputs = signature(path)
        found = ResolvedModel(digest=trial.digest, size=trial.size, inputs=inputs, outputs=outputs)
        if not any(signature_faults(trial.entry, found, "")):  # they are told where fields are
            _run_once(trial.entry, found, path)
    return found


def _run_once(entry: ModelEntry, found: ResolvedModel, path: Path) -> None:
    """Run once on made-up input.

    That a model refuses what was made up says nothing of what it is asked later; that it needs more
    memory than there is, or does not end, does.
    """
    model = plan_model(entry, found)
    try:
        Session(model, path).run(made_up(model, 1), timeout=seconds(entry.timeout))
    except ModelTimeoutError:
        raise
    except ModelError as error:
        if any(words in str(error) for words in NO_MEMORY):
            raise


@contextmanager
def _told(trial: Trial) -> Iterator[None]:
    try:
        yield
    except NotOnnx as error:
        raise ArtifactError(
            ConditionReason.NOT_A_MODEL, f"is not an ONNX model: {error}"
        ) from error
    except WeightsElsewhere as error:
        raise ArtifactError(ConditionReason.NOT_A_MODEL, str(error)) from error
    except ModelTimeoutError as error:
        raise _failed(f"runs too long on one made-up row: it {error}") from error
    except (ModelError, MemoryError) as error:
        words = f"{type(error).__name__}: {error}"
        if any(one in words for one in NO_MEMORY):
            mebibytes = trial.memory >> 20
            raise _failed(f"needs more than the {mebibytes} MiB that it was tried with") from error
        raise _failed(f"cannot be loaded: {error}") from error


def _failed(message: str) -> ArtifactError:
    return ArtifactError(ConditionReason.LOAD_FAILED, message)


def main() -> int:
    """Try what standard input asks for."""
    trial = Trial.model_validate_json(sys.stdin.buffer.read())
    report = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # nothing that is printed is a report
    _confine(trial)
    try:
        found = TrialReport(resolved=look_at(trial))
    except ArtifactError as error:
        found = TrialReport(reason=error.reason, fault=str(error))
    with os.fdopen(report, "wb") as file:
        file.write(found.model_dump_json(by_alias=True, exclude_none=True).encode())
    return 0


def _confine(trial: Trial) -> None:
    """Bound what this process may take, and end it with its parent."""
    end_with_parent(by=signal.SIGKILL)
    if os.getppid() != trial.parent:  # it ended before we could be told
        sys.exit(1)
    signal.alarm(int(trial.seconds) + 5)
    for what, most in (
        (resource.RLIMIT_DATA, trial.memory),
        (resource.RLIMIT_FSIZE, MOST_WRITTEN),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (bound, bound))


if __name__ == "__main__":
    sys.exit(main())
