"""Installs the project's resources into a control plane."""

import subprocess
import time
from pathlib import Path

from cluster.plane import ControlPlane, NotReadyError

_ATTEMPTS = 5
"""kubectl fails at once where a definition is so new that it has no conditions yet."""

CRDS = Path(__file__).resolve().parents[2] / "crds"


def install_crds(plane: ControlPlane) -> None:
    """Apply the CRDs, and wait until the API server serves them."""
    _kubectl(plane, "apply", "--server-side", f"--filename={CRDS}")
    wait = ("wait", "--for=condition=Established", "--timeout=30s", f"--filename={CRDS}")
    for _ in range(_ATTEMPTS - 1):
        try:
            return _kubectl(plane, *wait)
        except NotReadyError:
            time.sleep(1)
    return _kubectl(plane, *wait)


def _kubectl(plane: ControlPlane, *arguments: str) -> None:
    command: list[str | Path] = [plane.kubectl, f"--kubeconfig={plane.kubeconfig}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our kubectl
    if done.returncode:
        raise NotReadyError(f"the CRDs cannot be installed:\n{done.stderr}")
