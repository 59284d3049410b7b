"""Models that were uploaded: a name, its versions, and how each of them is run."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from tiltyard.failure import Failure
from tiltyard.places import model_document
from tiltyard.schemas import Schema, tensors
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_core.signature import version_of

Document = dict[str, Any]
"""A manifest, as JSON holds it."""

Save = Callable[[Document], Document]
"""Keeps a Model; gives it back with what it turned out to be."""

RUNTIMES = {"onnx", "tensorflow", "python", "flight", "mlflow"}
"""What callers of other products name; what runs a model was decided when it was uploaded."""


class ModelVersion:
    """One version of a model: bytes, and how they are run.

    Args:
        document: the Model, as a manifest with its status.
        save: keeps another configuration of it.

    """

    def __init__(self, document: Document, save: Save) -> None:
        self._document = document
        self._save = save
        self._name: str = document["metadata"]["name"]
        self._status = ModelStatus.model_validate(document.get("status") or {}, by_alias=True)

    def __repr__(self) -> str:
        return f"ModelVersion({self._name!r}, version={self.version()!r}, sha={self.sha()[:12]!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelVersion) and self.version() == other.version()

    def __hash__(self) -> int:
        return hash(self.version())

    def name(self) -> str:
        """Name of the model."""
        return self._name

    def version(self) -> str:
        """Name of the version: the same for the same name, bytes and configuration everywhere."""
        return version_of(self.entry, self.sha())

    def sha(self) -> str:
        """SHA-256 of its bytes."""
        return self._status.digest or self.entry.source.sha256 or ""

    def file_name(self) -> str:
        """Name of its file."""
        return PurePosixPath(self.entry.source.uri).name

    def framework(self) -> str:
        """What runs it: `onnx` or `python`."""
        return self.entry.framework.value

    def status(self) -> str:
        """`ready` once it was tried, `pending` before."""
        return "ready" if self._status.resolved() else "pending"

    def last_update_time(self) -> datetime:
        """When it was uploaded or configured last."""
        stamp = self._document["metadata"].get("creationTimestamp")
        return datetime.fromisoformat(stamp) if stamp else datetime.now(UTC)

    @property
    def entry(self) -> ModelEntry:
        """The model as a Pipeline describes it in place."""
        spec = self._document["spec"]
        return ModelEntry.model_validate(spec | {"name": self._name}, by_alias=True)

    def listed(self) -> Document:
        """Entry of a manifest, with the digest that the bytes have."""
        said: Document = self.entry.model_dump(
            mode="json", by_alias=True, exclude_defaults=True, exclude_none=True
        )
        return said | {"source": said["source"] | ({"sha256": self.sha()} if self.sha() else {})}

    def configure(  # noqa: PLR0913 - each is an option of its own
        self,
        runtime: str | None = None,
        *,
        tensor_fields: Sequence[str] | None = None,
        input_schema: Schema | None = None,
        output_schema: Schema | None = None,
        batch_config: str | None = None,
        threads: int | None = None,
        timeout: str | None = None,
        memory: str | None = None,
        workers: int | None = None,
    ) -> "ModelVersion":
        """Say how it is run; gives the version that this makes.

        Args:
            runtime: taken for the sake of callers who name one; it changes nothing.
            tensor_fields: names of the inputs for callers, in the order of the graph's own.
            input_schema: what goes in.
            output_schema: what comes out.
            batch_config: `single`: one row a call. `rows`, or nothing: rows together.
            threads: threads of one call.
            timeout: how long a call may take, such as `5s`.
            memory: Python models: most memory of one worker.
            workers: Python models: processes of one engine.

        Raises:
            Failure: there is no such runtime, the names do not fit the graph, or what is said is
                not valid.

        """
        if runtime is not None and runtime not in RUNTIMES:
            raise Failure(f"there is no runtime {runtime!r}: leave it out")
        wished = {
            "inputs": self._renamed(tensor_fields) if tensor_fields else tensors(input_schema),
            "outputs": tensors(output_schema),
            "batch": batch_config,
            "threads": threads,
            "timeout": timeout,
            "memory": memory,
            "workers": workers,
        }
        said = {key: value for key, value in wished.items() if value is not None}
        if not said:
            return self
        namespace = self._document["metadata"]["namespace"]
        document = model_document(self._name, namespace, self._document["spec"] | said)
        return ModelVersion(self._save(document), self._save)

    def _renamed(self, fields: Sequence[str]) -> list[Document]:
        """Entries of the graph's inputs under the names of callers."""
        graph = self._status.inputs or ()
        if len(graph) != len(fields):
            names = ", ".join(one.name for one in graph) or "what is not known yet"
            raise Failure(
                f"{self._name} takes {len(graph)} inputs ({names}), and tensor_fields names"
                f" {len(fields)}: name each of them"
            )
        return [
            {"name": name, "from": one.name, "type": str(one.type), "shape": list(one.shape[1:])}
            for name, one in zip(fields, graph, strict=True)
        ]


class Model:
    """A name under which versions were uploaded.

    Args:
        name: the name.
        versions: the versions, newest last.

    """

    def __init__(self, name: str, versions: Sequence[ModelVersion]) -> None:
        self._name = name
        self._versions = versions

    def __repr__(self) -> str:
        return f"Model({self._name!r}, {len(self._versions)} versions)"

    def name(self) -> str:
        """Name of the model."""
        return self._name

    def versions(self) -> list[ModelVersion]:
        """Give its versions, newest last."""
        return list(self._versions)
