"""Workspaces: namespaces of a cluster, or folders of this machine."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tiltyard.failure import Failure
from tiltyard.local.folder import FolderPlace, workspaces
from tiltyard.modelversions import Model, ModelVersion
from tiltyard.pipelines import Pipeline
from tiltyard.places import Place, Tell
from tiltyard_api.v1alpha1.metadata import NAMESPACE_PATTERN

if TYPE_CHECKING:
    from tiltyard.cluster import Cluster


class Workspace:
    """A workspace: models and pipelines under one name.

    Args:
        place: where they are.
        tell: says what is waited for.

    """

    def __init__(self, place: Place, tell: Tell) -> None:
        self.place = place
        self._tell = tell

    def __repr__(self) -> str:
        return f"Workspace({self.name()!r})"

    def name(self) -> str:
        """Give its name."""
        return self.place.namespace

    def models(self) -> list[Model]:
        """Give its models."""
        return [Model(name, self.versions_of(name)) for name in self.place.models()]

    def versions_of(self, name: str) -> list[ModelVersion]:
        """Give the versions of a model, newest last; none where there is no such model."""
        found = self.place.model_versions(name)
        return [ModelVersion(one, self.place.put_model) for one in found]

    def pipelines(self) -> list[Pipeline]:
        """Give its pipelines."""
        names = [one["metadata"]["name"] for one in self.place.pipelines()]
        return [Pipeline(self.place, name, self._tell) for name in names]


class Ground(Protocol):
    """What holds workspaces."""

    def names(self) -> Sequence[str]:
        """Give the names of the workspaces."""
        ...

    def create(self, name: str) -> None:
        """Make a workspace.

        Raises:
            Failure: there is one, or it cannot be made.

        """
        ...

    def open(self, name: str) -> Workspace:
        """Give a workspace that there is."""
        ...

    def close(self) -> None:
        """End what was started."""
        ...


class FolderGround:
    """Folders of this machine.

    Args:
        root: their folder.
        tell: says what is waited for.

    """

    def __init__(self, root: Path, tell: Tell) -> None:
        self._root = root
        self._tell = tell
        self._places: dict[str, FolderPlace] = {}

    def names(self) -> list[str]:
        """Give the names of the workspaces."""
        return list(workspaces(self._root))

    def create(self, name: str) -> None:
        """Make a workspace.

        Raises:
            Failure: there is one, or a cluster could not have one of that name.

        """
        if not re.search(NAMESPACE_PATTERN, name) or len(name) > 63:
            raise Failure(f"{name!r} is no name: use lower-case letters, digits and '-'")
        if name in self.names():
            raise Failure(f"there is a workspace {name} already: get_workspace gives it")
        self.open(name)

    def open(self, name: str) -> Workspace:
        """Give a workspace, and make its folder where there is none."""
        if name not in self._places:
            (self._root / name).mkdir(parents=True, exist_ok=True)
            self._places[name] = FolderPlace(self._root, name, self._tell)
        return Workspace(self._places[name], self._tell)

    def close(self) -> None:
        """End every engine."""
        for place in self._places.values():
            place.close()


class ClusterGround:
    """Namespaces of a cluster.

    Args:
        kubeconfig: the file; None: the one that kubectl takes.
        url: where engines are reached; None: through the API server.
        tell: says what is waited for.

    """

    def __init__(self, kubeconfig: str | None, url: str | None, tell: Tell) -> None:
        self._kubeconfig = kubeconfig
        self._url = url
        self._tell = tell
        self._opened: list[Cluster] = []

    def names(self) -> list[str]:
        """Give the names of the namespaces."""
        with self._cluster(None) as cluster:
            return cluster.namespaces()

    def create(self, name: str) -> None:
        """Make a namespace.

        Raises:
            Failure: there is one, or the cluster does not take it.

        """
        with self._cluster(None) as cluster:
            cluster.create_namespace(name)

    def open(self, name: str | None) -> Workspace:
        """Give a workspace that there is; None: the kubeconfig's own."""
        from tiltyard.namespaced import NamespacePlace  # noqa: PLC0415 - slow, and optional

        cluster = self._cluster(name)
        self._opened.append(cluster)
        return Workspace(NamespacePlace(cluster, self._url, self._tell), self._tell)

    def close(self) -> None:
        """Close connections; what runs in a cluster goes on."""
        for cluster in self._opened:
            cluster.close()
        self._opened.clear()

    def _cluster(self, namespace: str | None) -> "Cluster":
        from tiltyard.cluster import Cluster  # noqa: PLC0415 - slow, and optional

        return Cluster(namespace, self._kubeconfig)
