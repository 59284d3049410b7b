"""The operator's own client, for tests."""

from collections.abc import Callable
from pathlib import Path

from kubernetes import config
from kubernetes.client import Configuration

from tiltyard_operator.cluster import Bounds, Cluster


def configuration(kubeconfig: Path) -> Configuration:
    """Configuration of the user that a kubeconfig names."""
    found = Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=found)
    return found


def cluster_at(
    url: str,
    bounds: Bounds = Bounds(connect=0.4, silence=0.4, total=1, pauses=(0.01, 0.02)),  # noqa: B008 - frozen
    may_write: Callable[[], bool] = lambda: True,
) -> Cluster:
    """Client of a server that needs no credentials."""
    found = Configuration()
    found.host = url
    return Cluster(found, may_write, bounds)
