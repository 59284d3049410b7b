"""Plain manifests for `kubectl apply -k`: what the chart renders, without a release."""

import os
import subprocess
from pathlib import Path

from cluster.binaries import HELM, MissingError, provide

_HEADER = "# Generated from charts/tiltyard by `make generate`. Do not edit.\n"
_RELEASE_ONLY = ("helm.sh/chart:", "app.kubernetes.io/managed-by:")
"""Labels that only say that Helm made an object."""

VARIANTS = {
    "config/cluster/tiltyard.yaml": ["--set=scope=Cluster"],
    "config/namespace/tiltyard.yaml": ["--set=scope=Namespace,crds.install=false"],
}
"""Values of each rendered file."""


def rendered(root: Path) -> dict[str, bytes]:
    """Content of each file; none where there is no Helm, but under CI there must be."""
    try:
        helm = provide(print, (HELM,))["helm"]
    except MissingError as missing:
        if os.environ.get("CI") == "true":
            raise SystemExit(str(missing)) from missing
        print(f"{', '.join(VARIANTS)} not looked at: {missing}")
        return {}
    return {path: _render(helm, root, values) for path, values in VARIANTS.items()}


def _render(helm: Path, root: Path, values: list[str]) -> bytes:
    chart = root / "charts/tiltyard"
    command: list[str | Path] = [helm, "template", "tiltyard", chart, "--namespace=tiltyard"]
    done = subprocess.run(  # noqa: S603 - our Helm
        [*command, "--skip-tests", *values], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"the chart does not render:\n{done.stderr}")
    lines = done.stdout.splitlines(keepends=True)
    kept = [line for line in lines if not line.strip().startswith((*_RELEASE_ONLY, "# Source:"))]
    return (_HEADER + "".join(kept)).encode()
