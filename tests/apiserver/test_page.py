"""Pages on Kubernetes: their sessions are run again, on what `make cluster` runs or on less."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.binaries import Binaries
from cluster.plane import ControlPlane, running
from consoles import check_output, commands
from documents import ROOT
from kubectl import Kubectl
from laptop import laptop
from tools import need

DOCS = ROOT / "docs"


@pytest.fixture
def plane(binaries: Binaries, tmp_path: Path) -> Iterator[ControlPlane]:  # noqa: ARG001 - skips
    with laptop(tmp_path) as plane:
        yield plane


@pytest.fixture
def bare(binaries: Binaries, tmp_path: Path) -> Iterator[ControlPlane]:
    """A cluster that knows nothing of Tiltyard, and runs no pods."""
    with running(tmp_path / "plane", binaries) as processes:
        yield processes.plane


def run_session(page: Path, plane: ControlPlane, *programs: Path) -> None:
    folders = [str(program.parent) for program in (plane.kubectl, *programs)]
    path = os.pathsep.join([*folders, os.environ["PATH"]])
    home = {"HOME": str(plane.directory), "KUBECONFIG": str(plane.kubeconfig)}
    for command, output in commands(page):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=ROOT,
            env=os.environ | {"PATH": path} | home,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0 or "is invalid" in str(output), f"{command}\n{done.stdout}"
        check_output(done.stdout, output)


@pytest.mark.timeout(300)
def test_a_pipelines_life_runs_as_it_is_printed(plane: ControlPlane) -> None:
    need("curl")
    run_session(DOCS / "kubernetes.md", plane)


@pytest.mark.timeout(300)
def test_the_chart_is_installed_and_removed_as_it_is_printed(
    bare: ControlPlane, binaries: Binaries
) -> None:
    run_session(DOCS / "install.md", bare, binaries["helm"])
    argocd = Kubectl(bare.kubectl, bare.kubeconfig, "argocd")
    argocd("create", "namespace", "argocd")
    argocd("create", "configmap", "argocd-cm")
    run_session(DOCS / "gitops.md", bare)
