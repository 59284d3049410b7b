"""Reads manifest files into Pipelines, or says everything that is wrong with them at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.yamlfile import YamlFault, read_documents
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.v1alpha1.pipeline import Pipeline


@dataclass(frozen=True, slots=True)
class Manifest:
    """A Pipeline and where it was read from."""

    place: str
    """The file as the user named it, with the document where it holds several."""

    folder: Path
    """What relative `file:` sources start from."""

    pipeline: Pipeline

    @property
    def name(self) -> str:
        """Name of the Pipeline."""
        return self.pipeline.metadata.name

    def faults(self, error: InvalidManifest) -> list[str]:
        """Lines for what turned out wrong after the file was read."""
        return [f"{self.place}: {fault}" for fault in error.faults]


def read_manifests(files: Sequence[Path]) -> list[Manifest]:
    """Read every Pipeline of every file.

    Raises:
        Failure: with one line for each fault of each file.

    """
    manifests: list[Manifest] = []
    faults: list[str] = []
    for file in files:
        for found in _read_file(file):
            if isinstance(found, Manifest):
                manifests.append(found)
            else:
                faults.append(found)
    faults += _repeated_names(manifests)
    if faults:
        raise Failure(*faults)
    return manifests


def unpinned_sources(manifests: Sequence[Manifest]) -> Iterator[str]:
    """Lines for the sources whose bytes may change behind the manifest."""
    for manifest in manifests:
        for index, model in enumerate(manifest.pipeline.spec.models):
            if model.source.sha256 is None:
                yield (
                    f"{manifest.place}: spec.models[{index}].source: {model.source.uri} may change:"
                    " add its sha256, so that what you tested is what runs"
                )


def _read_file(file: Path) -> Iterator[Manifest | str]:
    """Every manifest of a file, or a line for each of its faults."""
    try:
        documents = list(read_documents(file.read_bytes()))
    except OSError as error:
        yield f"{file}: cannot be read: {error.strerror}"
        return
    except YamlFault as fault:
        yield f"{file}: {fault.where}: {fault.message}"
        return
    if not documents:
        yield f"{file}: (document): is empty: write a Pipeline"
    for number, document in enumerate(documents, 1):
        place = str(file) if len(documents) == 1 else f"{file} (document {number})"
        yield from _read_document(document, place, file)


def _read_document(document: object, place: str, file: Path) -> Iterator[Manifest | str]:
    kind = document.get("kind") if isinstance(document, Mapping) else None
    if isinstance(kind, str) and kind != "Pipeline":
        yield f"{place}: kind: {_other_kind(kind)}"
        return
    try:
        yield Manifest(place, file.parent.absolute(), read_pipeline(document))
    except InvalidManifest as error:
        yield from (f"{place}: {fault}" for fault in error.faults)


def _other_kind(kind: str) -> str:
    if kind == "Model":
        return "Model is not part of this version: write it in spec.models of its Pipeline"
    return f"{kind!r} is nothing that Tiltyard serves: give it Pipelines only"


def _repeated_names(manifests: Sequence[Manifest]) -> Iterator[str]:
    """One engine serves Pipelines by their names alone, whatever their namespaces."""
    first: dict[str, str] = {}
    for manifest in manifests:
        known = first.setdefault(manifest.name, manifest.place)
        if known is not manifest.place:
            message = f"{manifest.name!r} is also the name of the Pipeline in {known}"
            yield f"{manifest.place}: metadata.name: {message}: rename one"
