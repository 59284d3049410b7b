"""The way in: a client of a cluster, or of folders and engines of this machine."""

import os
from pathlib import Path
from typing import Self

from tiltyard.failure import EntityNotFoundError, Failure
from tiltyard.framework import Framework
from tiltyard.modelversions import Model, ModelVersion
from tiltyard.notices import notice
from tiltyard.pipelines import Pipeline
from tiltyard.places import Tell, model_document
from tiltyard.schemas import Schema, tensors
from tiltyard.stores import FolderStore, Store, store_at
from tiltyard.uploads import Upload, model_spec
from tiltyard.workspaces import ClusterGround, FolderGround, Ground, Workspace

FOLDER = ".tiltyard/workspaces"
DEFAULT = "default"
STORE_VARIABLE = "TILTYARD_STORE"
URL_VARIABLE = "TILTYARD_URL"


class Client:
    """A client of the cluster that the kubeconfig names. `Client.local()` needs no cluster.

    Args:
        namespace: the workspace to begin with; None: the kubeconfig's own.
        kubeconfig: the file; None: the one that kubectl takes.
        store: where uploaded models go, such as `s3://models/team`, or a `Store`; None: what
            `TILTYARD_STORE` says.
        url: where engines are reached, `http://HOST:PORT`; None: what `TILTYARD_URL` says, else
            through the API server.
        tell: says what is waited for; by default a line on standard error.

    Raises:
        Failure: there is no kubeconfig, or it cannot be used.

    """

    def __init__(
        self,
        namespace: str | None = None,
        *,
        kubeconfig: str | None = None,
        store: Store | Path | str | None = None,
        url: str | None = None,
        tell: Tell = notice,
    ) -> None:
        where = store or os.environ.get(STORE_VARIABLE)
        asked = url or os.environ.get(URL_VARIABLE)
        ground = ClusterGround(kubeconfig, asked, tell)
        self._begin(ground, ground.open(namespace), store_at(where) if where else None, tell)

    @classmethod
    def local(cls, folder: Path | str = FOLDER, *, tell: Tell = notice) -> Self:
        """Give a client of this machine: models in a folder, an engine for each pipeline deployed.

        Args:
            folder: where workspaces are. What is in it outlives the client, its engines do not.
            tell: says what is waited for; by default a line on standard error.

        """
        client = cls.__new__(cls)
        root = Path(folder).absolute()
        ground = FolderGround(root, tell)
        client._begin(ground, ground.open(DEFAULT), FolderStore(root / ".artifacts"), tell)  # noqa: SLF001 - of this class
        return client

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the engines of this machine that it started; a cluster goes on."""
        self._ground.close()

    def _begin(self, ground: Ground, workspace: Workspace, store: Store | None, tell: Tell) -> None:
        self._ground = ground
        self._workspace = workspace
        self._store = store
        self._tell = tell

    # Workspaces.

    def list_workspaces(self) -> list[Workspace]:
        """Give all workspaces: namespaces of a cluster, folders of this machine."""
        return [self._ground.open(name) for name in self._ground.names()]

    def create_workspace(self, name: str) -> Workspace:
        """Make a workspace.

        Raises:
            Failure: there is one, or it cannot be made.

        """
        self._ground.create(name)
        return self._ground.open(name)

    def get_workspace(self, name: str, *, create_if_not_exist: bool = False) -> Workspace:
        """Give a workspace.

        Raises:
            EntityNotFoundError: there is none of that name.

        """
        if name in self._ground.names():
            return self._ground.open(name)
        if create_if_not_exist:
            return self.create_workspace(name)
        there = ", ".join(self._ground.names()) or "none"
        raise EntityNotFoundError(f"there is no workspace {name} (there: {there})")

    def set_current_workspace(self, workspace: Workspace) -> Workspace:
        """Work in a workspace from now on."""
        self._workspace = workspace
        return workspace

    def get_current_workspace(self) -> Workspace:
        """Give the workspace that is worked in."""
        return self._workspace

    # Models.

    def upload_model(
        self,
        name: str,
        path: Path | str,
        framework: Framework | str | None = None,
        input_schema: Schema | None = None,
        output_schema: Schema | None = None,
        batch_config: str | None = None,
    ) -> ModelVersion:
        """Keep a model in the store, and have it tried.

        Args:
            name: the model's; another upload of that name is another version.
            path: the file; or a folder, of what is converted.
            framework: what wrote it; None: as it looks. What is neither ONNX nor Python is
                converted first, and compared with its original.
            input_schema: what goes in: needed for Python, else the model says.
            output_schema: what comes out; likewise.
            batch_config: `single`: one row a call, its whole output is the row's.

        Raises:
            Failure: it cannot be kept, converted, or used.

        """
        if self._store is None:
            raise Failure(
                f"there is no store for models: give Client(store='s3://BUCKET/PREFIX'), or set"
                f" {STORE_VARIABLE}"
            )
        wished = {
            "inputs": tensors(input_schema),
            "outputs": tensors(output_schema),
            "batch": batch_config,
        }
        upload = Upload(name, Path(path), framework, wished)
        spec = model_spec(upload, self._workspace.name(), self._store, self._tell)
        place = self._workspace.place
        document = model_document(name, place.namespace, spec)
        return ModelVersion(place.put_model(document), place.put_model)

    def list_models(self) -> list[Model]:
        """Give the models of the workspace."""
        return self._workspace.models()

    def get_model(self, name: str, version: str | None = None) -> ModelVersion:
        """Give a version of a model, the newest where none is named.

        Raises:
            EntityNotFoundError: there is none.

        """
        versions = self._workspace.versions_of(name)
        if not versions:
            raise EntityNotFoundError(
                f"there is no model {name} in workspace {self._workspace.name()}: upload_model it"
            )
        for one in reversed(versions):
            if version in (None, one.version()):
                return one
        there = ", ".join(one.version() for one in versions)
        raise EntityNotFoundError(f"model {name} has no version {version} (there: {there})")

    # Pipelines.

    def build_pipeline(self, name: str) -> Pipeline:
        """Give a pipeline to edit; nothing is made before it is deployed."""
        return Pipeline(self._workspace.place, name, self._tell)

    def get_pipeline(self, name: str) -> Pipeline:
        """Give a pipeline as it was deployed, whoever did: by kubectl, or from here.

        Raises:
            EntityNotFoundError: there is none.

        """
        if self._workspace.place.pipeline(name) is None:
            raise EntityNotFoundError(
                f"there is no pipeline {name} in workspace {self._workspace.name()}:"
                " build_pipeline and deploy it"
            )
        return self.build_pipeline(name)

    def list_pipelines(self) -> list[Pipeline]:
        """Give the pipelines of the workspace."""
        return self._workspace.pipelines()
