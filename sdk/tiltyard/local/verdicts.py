"""How the experiments that are served here came to be what they are: kept in files, for reports."""

import hashlib
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError

from tiltyard.local.resolving import store_folder
from tiltyard.manifests import Manifest
from tiltyard.notices import notice
from tiltyard_api.base import canonical
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.v1alpha1.verdict import Verdict
from tiltyard_core.experiments.about import subject
from tiltyard_core.experiments.history import remembered
from tiltyard_core.experiments.verdict import judge


def verdict(manifest: Manifest, sums: ExperimentSums | None, now: datetime) -> Verdict | None:
    """Judge the experiment of a Pipeline that is served here; None: it has none."""
    about = subject(manifest.pipeline.spec)
    if about is None:
        return None
    found = judge(sums, about.experiment, about.variants)
    return remembered(found, _read(_file(manifest)), now)


def keep(manifest: Manifest, sums: ExperimentSums | None, now: datetime) -> None:
    """Judge an experiment, and keep how it stands where that is news."""
    file = _file(manifest)
    found, before = verdict(manifest, sums, now), _read(file)
    if found and (before is None or _moments(found) != _moments(before)):
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(".new")
        fresh.write_bytes(canonical(found))
        fresh.replace(file)


def _moments(found: Verdict) -> list[object]:
    return [one.history for one in found.comparisons or ()]


def _file(manifest: Manifest) -> Path:
    """Where an experiment is kept: manifests of one name in two folders are two Pipelines."""
    place = f"{manifest.uid}\0{manifest.folder}"
    name = hashlib.sha256(place.encode()).hexdigest()[:32]
    return store_folder().parent / "verdicts" / f"{name}.json"


def _read(file: Path) -> Verdict | None:
    try:
        return Verdict.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        notice(f"{file} cannot be read ({first}): the history of its experiment begins anew")
        return None
