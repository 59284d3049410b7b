"""h2spec, which judges servers of HTTP/2: built once from the module that `tools/h2spec` pins."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "tools" / "h2spec"
CACHE = ROOT / ".cache" / "h2spec"


def h2spec() -> Path:
    """Give the program; without Go the test is skipped, and fails under CI."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI"):
            pytest.fail("go is not installed: h2spec cannot be built")
        pytest.skip("go is not installed: h2spec cannot be built")
    CACHE.mkdir(parents=True, exist_ok=True)
    program = CACHE / "h2spec"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Go itself knows what is up to date, from its cache.
        package = "github.com/summerwind/h2spec/cmd/h2spec"
        subprocess.run(
            [go, "build", "-trimpath", "-o", program, package],
            cwd=MODULE,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
        )
    return program
