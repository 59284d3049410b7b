"""A workspace on this machine: a folder of manifests; a process serves each deployed pipeline.

WORKSPACE/models/NAME/0001.yaml        versions of a model, as Models with their status
WORKSPACE/pipelines/NAME.yaml          `tiltyard serve` takes it
WORKSPACE/history/NAME/0001.yaml       versions of a pipeline
WORKSPACE/logs/NAME.log                what its engine says
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tiltyard.canary import Word, addressed, annotation
from tiltyard.failure import Failure
from tiltyard.local.host import Host, Serving
from tiltyard.local.kept import replace
from tiltyard.local.ramps import RAMPS, canaries_kept
from tiltyard.local.resolving import Sources, resolve, store_folder
from tiltyard.local.signals import Stopped, held_signals
from tiltyard.manifests import read_manifests
from tiltyard.places import Document, Revision, Tell, kept_at, not_deployed
from tiltyard.transport import Transport
from tiltyard_api.names import CANARY_ANNOTATION
from tiltyard_api.recordfiles import DEFAULT_FOLDER
from tiltyard_api.resolved import ModelToResolve, ResolvedModel
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_api.v1alpha1.stage import Stage
from tiltyard_api.v1alpha1.status import StepStatus
from tiltyard_api.v1alpha1.verdict import Report
from tiltyard_core.signature import signature_faults

MOST_REVISIONS = 10
"""Versions of a pipeline that are kept, as in a cluster."""

TELL_AFTER = 3.0
"""Seconds of waiting before people are told what for."""


class FolderPlace:
    """A workspace on this machine.

    Args:
        root: folder of all workspaces.
        namespace: name of this one.
        tell: says what is waited for.

    """

    def __init__(self, root: Path, namespace: str, tell: Tell) -> None:
        self.namespace = namespace
        self._folder = root / namespace
        self._tell = tell
        self._hosts: dict[str, Host] = {}
        self._serving: dict[str, Serving] = {}

    def models(self) -> list[str]:
        """Give the names of all models."""
        return sorted(one.name for one in (self._folder / "models").glob("*") if one.is_dir())

    def model_versions(self, name: str) -> list[Document]:
        """Give the Models of a name with their status, newest last."""
        return [_read(one) for one in _numbered(self._folder / "models" / name)]

    def put_model(self, document: Document) -> Document:
        """Keep a Model; gives it back with what it turned out to be.

        Raises:
            Failure: it is no model, or does not fit what is said of it.

        """
        name = document["metadata"]["name"]
        before = self.model_versions(name)
        if before and before[-1]["spec"] == document["spec"]:
            return before[-1]
        entry = ModelEntry.model_validate(document["spec"] | {"name": name}, by_alias=True)
        found = self._tried(entry)
        faults = [f"model {name}: {one}" for one in signature_faults(entry, found, "spec")]
        if faults:
            raise Failure(*faults)
        status = ModelStatus().with_resolved(found)
        stamp = {"creationTimestamp": datetime.now(UTC).isoformat(timespec="seconds")}
        kept = document | {
            "metadata": document["metadata"] | stamp,
            "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
        }
        _write_next(self._folder / "models" / name, kept)
        return kept

    def pipelines(self) -> list[Document]:
        """Give all Pipelines."""
        return [_read(one) for one in sorted((self._folder / "pipelines").glob("*.yaml"))]

    def pipeline(self, name: str) -> Document | None:
        """Give a Pipeline; None where there is none."""
        file = self._manifest(name)
        return _read(file) if file.exists() else None

    def deploy(self, document: Document, seconds: float) -> None:
        """Put a Pipeline in force; what takes long is told, and bounded by nothing but its models.

        Raises:
            Failure: it cannot be; what ran keeps running, and is what the folder says.

        """
        del seconds  # fetching, trying and loading have bounds of their own
        name = document["metadata"]["name"]
        serving = self._put_in_force(document)
        self._remember(name, document["spec"], serving)
        self._tell(f"{name}: {serving.done}, at {serving.url}")

    def undeploy(self, name: str, seconds: float) -> None:
        """End what serves a Pipeline, once it answered what it accepted."""
        del seconds  # an engine bounds how long it takes to end
        document = self.pipeline(name)
        host = self._hosts.pop(name, None)
        self._serving.pop(name, None)
        if host:
            host.stop()
        if document:
            _write(self._manifest(name), document | {"spec": document["spec"] | {"suspend": True}})

    def order(self, name: str, word: Word, step: str | None) -> Stage:
        """Annotate a manifest with a word for its canary; gives the stage that it names.

        Raises:
            Failure: there is no such canary, nothing can be said to it, or it is not deployed.

        """
        document = self.pipeline(name)
        if document is None or self._alive(name) is None:
            raise not_deployed(name)
        stage = addressed(word, name, step, self._canaries(name))
        annotations = {CANARY_ANNOTATION: annotation(word, stage)}
        self._put_in_force(
            document | {"metadata": document["metadata"] | {"annotations": annotations}}
        )
        return stage

    def status(self, name: str) -> Document:
        """Say how it fares, as its engine tells it."""
        serving = self._alive(name)
        if serving is None:
            return {"phase": "Suspended"}
        with Transport(serving.management) as management:
            told = management.get("/status").json()
        steps = self._canaries(name)
        return {
            "phase": "Running",
            "endpoint": f"{serving.url}/pipelines/{name}",
            "version": {
                "desired": serving.version,
                "active": serving.version,
                "hash": serving.plan,
            },
            "steps": [
                one.model_dump(mode="json", by_alias=True, exclude_none=True) for one in steps
            ],
            "engine": told,
        }

    def revisions(self, name: str) -> list[Revision]:
        """Give its versions, newest last."""
        return [Revision(**_read(one)) for one in _numbered(self._folder / "history" / name)]

    def engine(self, name: str, connections: int) -> Transport:
        """Give a way to its data port.

        Raises:
            Failure: it is not deployed.

        """
        serving = self._alive(name)
        if serving is None:
            raise not_deployed(name)
        return Transport(serving.url, connections)

    def records(self, name: str) -> Path | str:
        """Give the folder of its records, or what its manifest says."""
        document = self.pipeline(name)
        uri = kept_at(document["spec"]) if document else None
        return uri or self._folder / DEFAULT_FOLDER

    def report(self, name: str) -> Report:
        """Say what its experiment and its shadows have shown, as its engine counts.

        Raises:
            Failure: it has neither, or is not deployed.

        """
        from tiltyard.report import of_engine  # noqa: PLC0415 - for those who ask

        serving = self._alive(name)
        if serving is None:
            raise not_deployed(name)
        (manifest,) = read_manifests([self._manifest(name)]).pipelines
        return of_engine(manifest, serving.management)

    def close(self) -> None:
        """End everything that is served."""
        for host in self._hosts.values():
            host.stop()
        self._hosts.clear()
        self._serving.clear()

    def _manifest(self, name: str) -> Path:
        return self._folder / "pipelines" / f"{name}.yaml"

    def _canaries(self, name: str) -> list[StepStatus]:
        """Say where its canaries stand, as the status of a cluster does."""
        (manifest,) = read_manifests([self._manifest(name)]).pipelines
        return list(canaries_kept(store_folder().parent / RAMPS, manifest))

    def _host(self, name: str) -> Host:
        host = self._hosts.get(name)
        if host is None or not host.alive():
            if host:
                host.stop()
            host = Host(self._folder, self._folder / "logs" / f"{name}.log")
            self._hosts[name] = host
        return host

    def _put_in_force(self, document: Document) -> Serving:
        """Write a manifest and serve it; where it cannot be served, nothing was written."""
        name = document["metadata"]["name"]
        file = self._manifest(name)
        before = self.pipeline(name)
        _write(file, document)
        try:
            serving = self._host(name).serve(file, self._ticks(f"{name}: loading its models"))
        except BaseException:
            if before:
                _write(file, before)
            else:
                file.unlink()
            raise
        self._serving[name] = serving
        return serving

    def _alive(self, name: str) -> Serving | None:
        host = self._hosts.get(name)
        return self._serving.get(name) if host and host.alive() else None

    def _tried(self, entry: ModelEntry) -> ResolvedModel:
        """Have a model fetched and tried, as before it is served."""
        asked = ModelToResolve(folder=str(self._folder), entry=entry)
        try:
            with held_signals():
                (found,) = resolve([asked], Sources(store_folder()))
        except Stopped:
            raise KeyboardInterrupt from None
        if found.resolved is None:
            raise Failure(f"model {entry.name}: {found.fault}")
        return found.resolved

    def _remember(self, name: str, spec: Document, serving: Serving) -> None:
        known = self.revisions(name)
        if known and known[-1].plan == serving.plan:
            return
        number = known[-1].number + 1 if known else 1
        now = datetime.now(UTC).isoformat(timespec="seconds")
        title = f"{name}-{serving.plan[:10]}"
        made = Revision(number, title, now, spec, serving.digests, serving.plan, {}, {})
        folder = self._folder / "history" / name
        _write(folder / f"{number:04d}.yaml", asdict(made))
        for old in _numbered(folder)[:-MOST_REVISIONS]:
            old.unlink()

    def _ticks(self, what: str) -> "Ticks":
        return Ticks(what, self._tell)


class Ticks:
    """Tells what is waited for, once it takes long, and then now and again."""

    def __init__(self, what: str, tell: Tell) -> None:
        self._what = what
        self._tell = tell
        self._began = time.monotonic()
        self._next = self._began + TELL_AFTER

    def __call__(self) -> None:
        """Tell, if it is time to."""
        now = time.monotonic()
        if now > self._next:
            self._next = now + 2 * (now - self._began)
            self._tell(f"{self._what}, {now - self._began:.0f} s")


def workspaces(root: Path) -> Iterator[str]:
    """Names of the workspaces in a folder."""
    yield from sorted(one.name for one in root.glob("[!.]*") if one.is_dir())


def _numbered(folder: Path) -> Sequence[Path]:
    return sorted(folder.glob("[0-9]*.yaml"))


def _write_next(folder: Path, document: Mapping[str, object]) -> None:
    last = _numbered(folder)
    _write(folder / f"{int(last[-1].stem) + 1 if last else 1:04d}.yaml", document)


def _read(file: Path) -> Document:
    try:
        return dict(yaml.safe_load(file.read_bytes()))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        first = str(error).splitlines()[0]
        raise Failure(f"{file}: cannot be read: {first}: mend or remove it") from error


def _write(file: Path, document: Mapping[str, object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, yaml.safe_dump(dict(document), sort_keys=False, width=100).encode())
