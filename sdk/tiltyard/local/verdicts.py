"""How the experiments that are served here came to be what they are: kept in files, for reports."""

from datetime import datetime
from pathlib import Path

from tiltyard.local import kept
from tiltyard.local.resolving import store_folder
from tiltyard.manifests import Manifest
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
        kept.write(file, found)


def _moments(found: Verdict) -> list[object]:
    return [one.history for one in found.comparisons or ()]


def _file(manifest: Manifest) -> Path:
    return kept.file_of(store_folder().parent / "verdicts", manifest)


def _read(file: Path) -> Verdict | None:
    return kept.read(file, Verdict, "the history of its experiment")
