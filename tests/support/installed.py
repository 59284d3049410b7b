"""Tiltyard in a cluster as people install it: by Helm, with the images of this tree."""

from pathlib import Path

from cluster.node.images import name_of
from helm import CHART, Helm
from kubectl import Kubectl

RELEASE = "tiltyard"
OPERATOR = "deployment/tiltyard-operator"


def images(engine: str = name_of("engine")) -> list[str]:
    """Values that name our images, or another of the engine."""
    told = []
    for key, name in (("image", name_of("operator")), ("engine.image", engine)):
        repository, _, tag = name.rpartition(":")
        told.append(f"--set={key}.repository={repository},{key}.tag={tag}")
    return told


def install(helm: Helm, kubectl: Kubectl, *values: str, chart: Path = CHART) -> None:
    """Install or upgrade the release, and wait until its operator is ready.

    Definitions that are there already, such as those that a control plane of the tests starts
    with, become the release's.
    """
    flags = ("--install", "--take-ownership", "--force-conflicts")
    helm("upgrade", RELEASE, chart, *flags, *images(), *values)
    await_operator(kubectl)


def await_operator(kubectl: Kubectl) -> None:
    """Wait until the operator of kubectl's namespace is as its Deployment says."""
    kubectl("rollout", "status", OPERATOR, "--timeout=180s")
