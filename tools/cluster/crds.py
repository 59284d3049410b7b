"""Installs the project's resources into a control plane."""

import subprocess
from pathlib import Path

from cluster.plane import ControlPlane, NotReadyError

CRDS = Path(__file__).resolve().parents[2] / "crds"


def install_crds(plane: ControlPlane) -> None:
    """Apply the CRDs, and wait until the API server serves them."""
    _kubectl(plane, "apply", "--server-side", f"--filename={CRDS}")
    _kubectl(plane, "wait", "--for=condition=Established", "--timeout=30s", f"--filename={CRDS}")


def _kubectl(plane: ControlPlane, *arguments: str) -> None:
    command: list[str | Path] = [plane.kubectl, f"--kubeconfig={plane.kubeconfig}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our kubectl
    if done.returncode:
        raise NotReadyError(f"the CRDs cannot be installed:\n{done.stderr}")
