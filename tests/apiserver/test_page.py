"""The first page on Kubernetes: its session is run again, on what `make cluster` runs."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.binaries import Binaries
from cluster.plane import ControlPlane
from consoles import check_output, commands
from documents import ROOT
from laptop import laptop
from tools import need

PAGE = ROOT / "docs/kubernetes.md"


@pytest.fixture
def plane(binaries: Binaries, tmp_path: Path) -> Iterator[ControlPlane]:  # noqa: ARG001 - skips
    with laptop(tmp_path) as plane:
        yield plane


@pytest.mark.timeout(300)
def test_the_session_of_the_page_runs_as_it_is_printed(plane: ControlPlane) -> None:
    need("curl")
    path = f"{plane.kubectl.parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"KUBECONFIG": str(plane.kubeconfig), "PATH": path}
    for command, output in commands(PAGE):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0 or "is invalid" in str(output), f"{command}\n{done.stdout}"
        check_output(done.stdout, output)
