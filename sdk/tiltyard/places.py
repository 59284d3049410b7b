"""Where pipelines live: a cluster, or folders of this machine. Both hold the same manifests."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tiltyard.canary import Word
from tiltyard.failure import Failure
from tiltyard.transport import Transport
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.names import API_VERSION
from tiltyard_api.v1alpha1.stage import Stage
from tiltyard_api.v1alpha1.verdict import Report

Document = dict[str, Any]
"""A manifest, as JSON holds it."""

Tell = Callable[[str], None]
"""Says what is waited for."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A version of a pipeline: what it said, and the bytes that its models were."""

    number: int
    name: str
    created: str
    spec: Document
    digests: Mapping[str, str]
    """Of each model, by its name in the spec."""

    plan: str
    """Hash of what engines load for it."""

    addresses: Mapping[str, str]
    """Immutable address of a model, where its store has one."""

    shared: Mapping[str, Document]
    """Specs of the Models that the spec refers to, as they were."""


class Place(Protocol):
    """One workspace of a client: a namespace of a cluster, or a folder."""

    namespace: str

    def model_versions(self, name: str) -> Sequence[Document]:
        """Give the Models of a name with their status, newest last."""
        ...

    def models(self) -> Sequence[str]:
        """Give the names of all models."""
        ...

    def put_model(self, document: Document) -> Document:
        """Keep a Model; gives it back with what it turned out to be.

        Raises:
            Failure: it is no model, or does not fit what is said of it.

        """
        ...

    def pipelines(self) -> Sequence[Document]:
        """Give all Pipelines."""
        ...

    def pipeline(self, name: str) -> Document | None:
        """Give a Pipeline; None where there is none."""
        ...

    def deploy(self, document: Document, seconds: float) -> None:
        """Put a Pipeline in force and wait until it is; 0 seconds: do not wait.

        Raises:
            Failure: it cannot be, or not in time.

        """
        ...

    def undeploy(self, name: str, seconds: float) -> None:
        """Take its pods away and wait until they are gone.

        Raises:
            Failure: it does not end in time.

        """
        ...

    def order(self, name: str, word: Word, step: str | None) -> Stage:
        """Say a word to a canary; gives the stage that it is said to.

        Raises:
            Failure: there is no such canary, or nothing can be said to it.

        """
        ...

    def status(self, name: str) -> Document:
        """Say how it fares: the status of a cluster's Pipeline, or what the engine here says."""
        ...

    def revisions(self, name: str) -> Sequence[Revision]:
        """Give its versions, newest last."""
        ...

    def records(self, name: str) -> Path | str:
        """Give the folder, or the uri of the store, that its records are in.

        Raises:
            Failure: it has none, or none that can be read back.

        """
        ...

    def report(self, name: str) -> Report:
        """Say what its experiment and its shadows have shown.

        Raises:
            Failure: it has neither, or is not deployed.

        """
        ...

    def engine(self, name: str, connections: int) -> Transport:
        """Give a way to its data port, for so many calls at once.

        Raises:
            Failure: it is not deployed.

        """
        ...


def pipeline_document(name: str, namespace: str, spec: Document) -> Document:
    """Write a manifest.

    Raises:
        Failure: it is not valid; a line for each fault.

    """
    return _valid("Pipeline", name, namespace, spec, read_pipeline)


def model_document(name: str, namespace: str, spec: Document) -> Document:
    """Write the manifest of a Model.

    Raises:
        Failure: it is not valid; a line for each fault.

    """
    return _valid("Model", name, namespace, spec, read_model)


def _valid(
    kind: str, name: str, namespace: str, spec: Document, read: Callable[[Document], object]
) -> Document:
    metadata = {"name": name, "namespace": namespace}
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
    try:
        read(document)
    except InvalidManifest as error:
        raise Failure(*_lines(f"{kind.lower()} {name}", error)) from None
    return document


def _lines(what: str, error: InvalidManifest) -> Iterator[str]:
    yield from (f"{what}: {fault}" for fault in error.faults)


def kept_at(spec: Document) -> str | None:
    """Where a spec wants records to go; None where it does not say."""
    sink = (spec.get("records") or {}).get("sink") or {}
    uri = sink.get("uri")
    return str(uri) if uri else None


def not_deployed(name: str) -> Failure:
    """Failure of who asks what is not served."""
    return Failure(f"pipeline {name} is not deployed: deploy() it first")
