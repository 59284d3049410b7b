"""Reads manifest files into Pipelines and Models, or says everything that is wrong at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.yamlfile import YamlFault, read_documents
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.names import CANARY_ANNOTATION, local_uid
from tiltyard_api.v1alpha1.model import Model
from tiltyard_api.v1alpha1.models import ModelEntry, Source
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.cel.check import checked
from tiltyard_core.cel.library import available
from tiltyard_core.references import entries, referred, with_models


@dataclass(frozen=True, slots=True)
class ModelManifest:
    """A Model and where it was read from."""

    place: str
    folder: Path
    model: Model

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name, by which Pipelines find it."""
        return self.model.metadata.namespace, self.model.metadata.name


@dataclass(frozen=True, slots=True)
class Described:
    """A model in full and where its description stands."""

    entry: ModelEntry
    folder: Path
    """What a relative `file:` source starts from."""

    place: str
    """File and path of the fields."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A Pipeline and where it was read from."""

    place: str
    """The file as the user named it, with the document where it holds several."""

    folder: Path
    """What relative `file:` sources start from."""

    pipeline: Pipeline

    shared: tuple[ModelManifest, ...] = ()
    """The Models that it refers to."""

    order: str = ""
    """The annotation that promotes or aborts a stage of a canary."""

    @property
    def name(self) -> str:
        """Name of the Pipeline."""
        return self.pipeline.metadata.name

    @property
    def uid(self) -> str:
        """Identity of the Pipeline: the same after a restart."""
        metadata = self.pipeline.metadata
        return metadata.uid or local_uid(metadata.namespace, metadata.name)

    def faults(self, error: InvalidManifest) -> list[str]:
        """Lines for what turned out wrong after the file was read."""
        return [f"{self.place}: {fault}" for fault in error.faults]

    def described(self) -> list[Described]:
        """Every model of the Pipeline, in its order; Models must have been put in place."""
        shared = {one.model.metadata.name: one for one in self.shared}
        found = []
        for listed, (path, entry) in zip(
            self.pipeline.spec.models, entries(self.pipeline), strict=True
        ):
            if listed.model_ref:
                model = shared[listed.model_ref.name]
                found.append(Described(entry, model.folder, f"{model.place}: spec"))
            else:
                found.append(Described(entry, self.folder, f"{self.place}: {path}"))
        return found


@dataclass(frozen=True, slots=True)
class Manifests:
    """What files hold."""

    pipelines: Sequence[Manifest]
    models: Sequence[ModelManifest]

    def unpinned_sources(self) -> Iterator[str]:
        """Lines for the sources whose bytes may change behind the manifest."""
        for place, source in self._sources():
            if source.sha256 is None and not source.immutable:
                remedy = "add its sha256, so that what you tested is what runs"
                yield f"{place}.source: {source.uri} may change: {remedy}"

    def relative_sources(self) -> Iterator[str]:
        """Lines for the files that lie beside a manifest, where no pod of a cluster looks."""
        for place, source in self._sources():
            if source.uri.startswith("file:") and not source.uri.startswith("file:/"):
                remedy = "put it into a store that pods reach: docs/sources.md lists them"
                yield f"{place}.source: {source.uri} is a file of this machine: {remedy}"

    def _sources(self) -> Iterator[tuple[str, Source]]:
        for manifest in self.pipelines:
            for index, model in enumerate(manifest.pipeline.spec.models):
                if model.source:
                    yield f"{manifest.place}: spec.models[{index}]", model.source
        for shared in self.models:
            yield f"{shared.place}: spec", shared.model.spec.source

    def unknown_references(self) -> Iterator[str]:
        """Lines for the Models that Pipelines refer to and that stand elsewhere."""
        known = {model.key for model in self.models}
        for manifest in self.pipelines:
            namespace = manifest.pipeline.metadata.namespace
            for name in sorted(referred(manifest.pipeline)):
                if (namespace, name) not in known:
                    yield f"{manifest.place}: Model {name!r} is not in these files: not looked at"

    def unchecked_validations(self) -> Iterator[str]:
        """Lines for the Pipelines whose validations nothing here can read."""
        for manifest in self.pipelines:
            if manifest.pipeline.spec.validations and not available():
                remedy = "install tiltyard[cel] to have them checked here"
                yield f"{manifest.place}: spec.validations: not looked at: {remedy}"

    def served(self) -> list[Manifest]:
        """Give the Pipelines with the Models that they refer to.

        Raises:
            Failure: a Model is not there, or there is no Pipeline at all.

        """
        if not self.pipelines:
            raise Failure("there is no Pipeline in these files: add one that says what to serve")
        found: list[Manifest] = []
        faults: list[str] = []
        for manifest in self.pipelines:
            try:
                found.append(self._with_models(manifest))
            except InvalidManifest as error:
                faults += manifest.faults(error)
        if faults:
            raise Failure(*faults)
        return found

    def _with_models(self, manifest: Manifest) -> Manifest:
        namespace, wanted = manifest.pipeline.metadata.namespace, referred(manifest.pipeline)
        shared = {
            one.key[1]: one
            for one in self.models
            if one.key[0] == namespace and one.key[1] in wanted
        }
        models = {name: one.model for name, one in shared.items()}
        pipeline = with_models(manifest.pipeline, models)
        return replace(manifest, pipeline=pipeline, shared=tuple(shared.values()))


def read_manifests(files: Sequence[Path]) -> Manifests:
    """Read every Pipeline and Model of every file.

    Raises:
        Failure: with one line for each fault of each file.

    """
    pipelines: list[Manifest] = []
    models: list[ModelManifest] = []
    faults: list[str] = []
    for file in files:
        for found in _read_file(file):
            match found:
                case Manifest():
                    pipelines.append(found)
                case ModelManifest():
                    models.append(found)
                case fault:
                    faults.append(fault)
    # One engine serves Pipelines by their names alone, whatever their namespaces.
    faults += _repeated("Pipeline", [(one.name, one.name, one.place) for one in pipelines])
    faults += _repeated("Model", [(one.key, one.key[1], one.place) for one in models])
    if faults:
        raise Failure(*faults)
    return Manifests(pipelines, models)


def _read_file(file: Path) -> Iterator[Manifest | ModelManifest | str]:
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


def _read_document(
    document: object, place: str, file: Path
) -> Iterator[Manifest | ModelManifest | str]:
    kind = document.get("kind") if isinstance(document, Mapping) else None
    folder = file.parent.absolute()
    try:
        if kind == "Model":
            yield ModelManifest(place, folder, read_model(document))
        elif kind == "Pipeline" or not isinstance(kind, str):
            pipeline = checked(read_pipeline(document))
            yield Manifest(place, folder, pipeline, order=_order(document))
        else:
            message = f"{kind!r} is nothing that Tiltyard knows: give it Pipelines and Models only"
            yield f"{place}: kind: {message}"
    except InvalidManifest as error:
        yield from (f"{place}: {fault}" for fault in error.faults)


def _order(document: object) -> str:
    """Give what a valid Pipeline is annotated with for its canaries."""
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    order = annotations.get(CANARY_ANNOTATION) if isinstance(annotations, Mapping) else None
    return order if isinstance(order, str) else ""


def _repeated(kind: str, places: Iterable[tuple[object, str, str]]) -> Iterator[str]:
    """Lines for names that an earlier object of the kind has."""
    first: dict[object, str] = {}
    for key, name, place in places:
        known = first.setdefault(key, place)
        if known is not place:
            message = f"{name!r} is also the name of the {kind} in {known}"
            yield f"{place}: metadata.name: {message}: rename one"
