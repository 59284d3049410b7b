"""Fetches models, for those who run them: `python -m tiltyard_engine.fetch`.

    trial --request JSON --report FILE      fetch and try one model, say what it is (a resolve Job)
    artifacts --list FILE --into FOLDER     fetch what a plan pins, refuse anything else (a pod)
    models --into FOLDER                    what standard input asks for (`tiltyard serve`)

A program of its own, so that a bad artifact hurts neither who asked nor an engine that is serving.
"""

import argparse
import ipaddress
import os
import signal
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from tiltyard_api.artifacts import (
    REPORT_BYTES,
    SECRETS,
    Artifact,
    ArtifactList,
    TrialReport,
    TrialRequest,
)
from tiltyard_api.quantities import quantity_bytes, seconds
from tiltyard_api.resolved import (
    ModelToResolve,
    Resolution,
    ResolveReport,
    ResolveRequest,
)
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.models import Framework, ModelEntry
from tiltyard_engine.artifacts import fetch, opened
from tiltyard_engine.progress import Progress
from tiltyard_engine.python.environment import FOLDER, Installs, RequirementsError, interpreter
from tiltyard_engine.resolve import Bounds, Found, resolve, usual_memory
from tiltyard_engine.sources.addresses import Addresses
from tiltyard_engine.sources.base import Access, ArtifactError, Limits, shown

MOST_FAULT = 1500
"""Bytes of the longest fault that is reported: the uri in it has up to 2048 characters."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all commands are told."""

    access: Access
    secrets: Mapping[str, Path]
    bounds: Bounds
    progress: int | None
    """Descriptor of somebody who wants to know how far it is."""

    def access_with(self, secret: str | None, uri: str) -> Access:
        """What a source may be reached with.

        Raises:
            ArtifactError: its Secret is not there, or empty.

        """
        if secret is None:
            return self.access
        folder = self.secrets.get(secret, Path(SECRETS) / secret)
        if not _keys(folder):
            raise ArtifactError(
                ConditionReason.SECRET_NOT_FOUND,
                f"{shown(uri)}: the Secret {secret!r}, which secretName names, is not there or has"
                " no keys: create it in the namespace of the manifest, or on a laptop name a folder"
                f" with its keys by --secret {secret}=FOLDER",
            )
        return replace(self.access, secret=folder)


def _keys(folder: Path) -> list[Path]:
    """Keys of a Secret; what a kubelet keeps beside them begins with two dots."""
    if not folder.is_dir():
        return []
    return [one for one in folder.iterdir() if not one.name.startswith("..")]


def try_one(request: TrialRequest, setting: Setting) -> TrialReport:
    """Fetch and try one model."""
    try:
        with tempfile.TemporaryDirectory(prefix="tiltyard-fetch-") as store:
            found = _resolved(request.entry, setting, Path(store))
    except ArtifactError as error:
        return _refusal(error)
    return _told_within(TrialReport(resolved=found.resolved, address=found.address), request.entry)


def fetch_artifacts(wanted: ArtifactList, store: Path, setting: Setting) -> None:
    """Fetch what a plan pins.

    Raises:
        ArtifactError: an artifact cannot be had, or is another one now.

    """
    for artifact in wanted.artifacts:
        access = setting.access_with(artifact.secret, artifact.uri)
        path = _pinned(artifact, access, store)
        try:
            place = opened(path, access.limits.size)
            if artifact.framework is Framework.PYTHON:
                bounds = setting.bounds
                interpreter(place, store / FOLDER, bounds.installs, bounds.seconds)
        except ArtifactError as error:
            raise _of_model(artifact, error.reason, error) from error
        except RequirementsError as error:
            raise _of_model(artifact, ConditionReason.LOAD_FAILED, error) from error


def _pinned(artifact: Artifact, access: Access, store: Path) -> Path:
    """Fetch an artifact by its immutable address, and by its uri where that is gone."""
    places = [artifact.address] if artifact.address else []
    for place in (*places, artifact.uri):
        try:
            return fetch(place, artifact.digest, access, store).path
        except ArtifactError as error:
            gone = error.reason is ConditionReason.SOURCE_NOT_FOUND
            if error.reason is ConditionReason.DIGEST_MISMATCH:
                raise ArtifactError(
                    ConditionReason.ARTIFACT_CHANGED,
                    f"model {artifact.model!r}: {shown(place)} no longer holds the bytes that were"
                    f" tried (SHA-256 {artifact.digest}): restore them, or change the model's"
                    " source, so that the new ones are tried",
                ) from error
            if place == artifact.uri or not gone:
                raise _of_model(artifact, error.reason, error) from error
    raise AssertionError("the last place is the uri")


def _of_model(artifact: Artifact, reason: ConditionReason, error: Exception) -> ArtifactError:
    return ArtifactError(reason, f"model {artifact.model!r}: {error}")


def _resolved(entry: ModelEntry, setting: Setting, store: Path, folder: str = "") -> Found:
    source = entry.source
    access = replace(setting.access_with(source.secret_name, source.uri), folder=Path(folder))
    progress = Progress(setting.progress, source.uri)
    return resolve(entry, access, store, setting.bounds, progress)


def _resolution(model: ModelToResolve, setting: Setting, store: Path) -> Resolution:
    try:
        found = _resolved(model.entry, setting, store, model.folder)
    except ArtifactError as error:
        return Resolution(fault=str(error))
    return Resolution(resolved=found.resolved)


def _refusal(error: ArtifactError) -> TrialReport:
    fault = str(error).encode()[:MOST_FAULT].decode(errors="ignore")
    return TrialReport(reason=error.reason, fault=fault)


def _told_within(report: TrialReport, entry: ModelEntry) -> TrialReport:
    """Keep a report short enough to be told: without what the manifest leaves out."""
    if len(report.written()) <= REPORT_BYTES or report.resolved is None:
        return report
    resolved = report.resolved
    for side in ("inputs", "outputs"):
        declared = {tensor.from_ or tensor.name for tensor in getattr(entry, side) or ()}
        used = tuple(one for one in getattr(resolved, side) if one.name in declared)
        if used:
            resolved = resolved.model_copy(update={side: used})
    shorter = report.model_copy(update={"resolved": resolved})
    if len(shorter.written()) <= REPORT_BYTES:
        return shorter
    return _refusal(
        ArtifactError(
            ConditionReason.SIGNATURE_TOO_LARGE,
            f"{shown(entry.source.uri)} has {len(report.resolved.inputs)} inputs and"
            f" {len(report.resolved.outputs)} outputs, more than can be told in {REPORT_BYTES}"
            " bytes: declare in the model's inputs and outputs those that are used",
        )
    )


def main() -> int:
    """Run a command; exit code 1 where an artifact is refused."""
    arguments = _parser().parse_args()
    # The first process of a container is told to end in vain unless it listens.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    setting = Setting(
        access=Access(
            claims=dict(arguments.pvc),
            addresses=Addresses(tuple(arguments.allow_address)),
            limits=Limits(size=arguments.max_size, seconds=arguments.timeout),
        ),
        secrets=dict(arguments.secret),
        bounds=Bounds(
            arguments.memory or usual_memory(), arguments.trial_timeout, arguments.installs
        ),
        progress=arguments.progress,
    )
    match arguments.command:
        case "trial":
            return _trial(arguments.request, arguments.report, setting)
        case "artifacts":
            return _artifacts(arguments.list, arguments.into, setting)
        case _:
            return _models(arguments.into, setting)


def _trial(request: str, file: Path, setting: Setting) -> int:
    report = try_one(TrialRequest.model_validate_json(request), setting)
    # In place: the file may be one that the kubelet has mounted.
    file.write_bytes(report.written())
    if report.fault:
        _say(report.fault)
    return 1 if report.fault else 0


def _artifacts(file: Path, store: Path, setting: Setting) -> int:
    wanted = ArtifactList.model_validate_json(file.read_bytes())
    try:
        fetch_artifacts(wanted, store, setting)
    except ArtifactError as error:
        # The only line: the kubelet passes it on as the container's last words.
        _say(_refusal(error).written().decode())
        return 1
    return 0


def _models(store: Path, setting: Setting) -> int:
    request = ResolveRequest.model_validate_json(sys.stdin.read())
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # most of the time is the trials' own
        found = list(pool.map(lambda model: _resolution(model, setting, store), request.models))
    sys.stdout.write(ResolveReport(models=tuple(found)).model_dump_json(by_alias=True))
    return 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


def options(common: argparse.ArgumentParser) -> None:
    """Add what every command can be told."""
    common.add_argument("--pvc", type=_pair, action="append", default=[])
    common.add_argument("--secret", type=_pair, action="append", default=[])
    common.add_argument("--allow-address", type=ipaddress.ip_network, action="append", default=[])
    common.add_argument("--max-size", type=quantity_bytes, default=Limits().size)
    common.add_argument("--timeout", type=seconds, default=Limits().seconds)
    common.add_argument("--memory", type=quantity_bytes)
    common.add_argument("--trial-timeout", type=seconds, default=Bounds(0).seconds)
    common.add_argument("--installs", type=Installs, choices=Installs, default=Installs.LOCKED)
    common.add_argument("--progress", type=int)


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    options(common)
    parser = argparse.ArgumentParser(prog="python -m tiltyard_engine.fetch")
    commands = parser.add_subparsers(dest="command", required=True)
    trial = commands.add_parser("trial", parents=[common])
    trial.add_argument("--request", required=True)
    trial.add_argument("--report", type=Path, required=True)
    artifacts = commands.add_parser("artifacts", parents=[common])
    artifacts.add_argument("--list", type=Path, required=True)
    artifacts.add_argument("--into", type=Path, required=True)
    models = commands.add_parser("models", parents=[common])
    models.add_argument("--into", type=Path, required=True)
    return parser


def _pair(text: str) -> tuple[str, Path]:
    name, equals, folder = text.partition("=")
    if not name or not equals or not folder:
        raise ValueError(text)
    return name, Path(folder)


if __name__ == "__main__":
    sys.exit(main())
