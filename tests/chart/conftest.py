"""Helm, for tests that need no cluster."""

from pathlib import Path

import pytest

from cluster.binaries import Binaries
from helm import Helm


@pytest.fixture
def helm(binaries: Binaries, tmp_path: Path) -> Helm:
    return Helm(binaries["helm"], tmp_path / "helm")
