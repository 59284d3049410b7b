"""Finds out what a model is: fetches it, compares its digest, unpacks it, tries it in a child."""

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from tiltyard_api import quantities
from tiltyard_api.artifacts import TRIAL_TIME
from tiltyard_api.base import digest
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.models import Framework, ModelEntry, Source
from tiltyard_core.signature import declared
from tiltyard_engine.artifacts import Fetched, Progress, fetch, opened
from tiltyard_engine.python.environment import FOLDER, Installs
from tiltyard_engine.python.trial import TrialLimits, try_python
from tiltyard_engine.sources.base import Access, ArtifactError, shown
from tiltyard_engine.trial import Trial, look_at, tried

GROUP_MEMORY = Path("/sys/fs/cgroup/memory.max")
"""What a container may have."""

SHARE = 0.75
"""Of the memory there is: what a model may take while it is tried; the rest is for us."""


TRIED = "tried"
"""Folder of the store that keeps what trials found: on a laptop the same model is tried once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a trial may take."""

    memory: int
    """Bytes."""

    seconds: float = quantities.seconds(TRIAL_TIME)
    installs: Installs = Installs.LOCKED
    """What requirements of Python models may be installed."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a model turned out to be."""

    resolved: ResolvedModel
    address: str | None
    """Immutable address of its bytes, where the store has one."""


def resolve(
    entry: ModelEntry,
    access: Access,
    store: Path,
    bounds: Bounds,
    progress: Progress = lambda _done, _size: None,
) -> Found:
    """Fetch one model and try it.

    Raises:
        ArtifactError: it cannot be had, is not what the manifest says, or is no model that
            can be served.

    """
    source = entry.source
    fetched = fetch(source.uri, source.sha256, access, store, progress)
    trial = trial_of(entry, fetched, access, bounds)
    if entry.framework is Framework.PYTHON:
        return Found(_tried_python(trial, store / FOLDER, bounds), fetched.address)
    return Found(_tried_once(trial, store / TRIED), fetched.address)


def _tried_once(trial: Trial, known: Path) -> ResolvedModel:
    """Try a model, unless the same bytes were tried here with the same configuration."""
    file = known / f"{trial.digest}-{_configuration(trial.entry)}.json"
    with suppress(OSError, ValidationError):
        return ResolvedModel.model_validate_json(file.read_bytes())
    found = tried(trial)
    known.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=known, delete=False) as fresh:
        fresh.write(found.model_dump_json(by_alias=True).encode())
    Path(fresh.name).replace(file)
    return found


def _configuration(entry: ModelEntry) -> str:
    """Digest of what a trial depends on beside the bytes: fields of the entry, and what runs it."""
    runtime = f"file:onnxruntime-{version('onnxruntime')}"
    anywhere = Source(uri=runtime)
    return digest(entry.model_copy(update={"name": "tried", "source": anywhere}))[:16]


def _tried_python(trial: Trial, environments: Path, bounds: Bounds) -> ResolvedModel:
    """Try a Python model in a worker, which has the bounds of its entry."""
    limits = TrialLimits(bounds.seconds, bounds.installs, environments)
    fault = try_python(Path(trial.place), trial.entry, limits)
    if fault:
        raise ArtifactError(fault.reason, f"{shown(trial.entry.source.uri)}: {fault.message}")
    inputs, outputs = declared(trial.entry)
    return ResolvedModel(digest=trial.digest, size=trial.size, inputs=inputs, outputs=outputs)


def facts(entry: ModelEntry, access: Access, store: Path) -> ResolvedModel:
    """Fetch a model that is trusted and look at it in this process: quicker, and not safe."""
    fetched = fetch(entry.source.uri, entry.source.sha256, access, store)
    return look_at(trial_of(entry, fetched, access, Bounds(usual_memory())))


def trial_of(entry: ModelEntry, fetched: Fetched, access: Access, bounds: Bounds) -> Trial:
    """Say what is to be tried, unpacked if it is an archive."""
    try:
        place = opened(fetched.path, access.limits.size)
    except ArtifactError as error:
        raise ArtifactError(error.reason, f"{shown(entry.source.uri)} {error}") from error
    return Trial(
        entry=entry,
        place=str(place.absolute()),
        digest=fetched.digest,
        size=fetched.size,
        memory=bounds.memory,
        seconds=bounds.seconds,
    )


def usual_memory() -> int:
    """Bytes that a model may take where nobody says."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no container, or one without a bound
        whole = min(whole, int(GROUP_MEMORY.read_text(encoding="ascii")))
    return int(whole * SHARE)
