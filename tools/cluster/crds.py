"""Installs the project's resources into a control plane."""

import subprocess
from pathlib import Path

from cluster.plane import ControlPlane

CRDS = Path(__file__).resolve().parents[2] / "crds"


def install_crds(plane: ControlPlane) -> None:
    """Apply the CRDs, and wait until the API server serves them."""
    _kubectl(plane, "apply", "--server-side", f"--filename={CRDS}")
    _kubectl(plane, "wait", "--for=condition=Established", "--timeout=30s", f"--filename={CRDS}")


def _kubectl(plane: ControlPlane, *arguments: str) -> None:
    command: list[str | Path] = [plane.kubectl, f"--kubeconfig={plane.kubeconfig}", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our kubectl
