"""Programs of the tests that are built from Go modules which `tools/` pins, each once."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def go_built(name: str, package: str = ".") -> Path:
    """Build a program in its folder of `tools/`; without Go the test is skipped, under CI it fails.

    Args:
        name: of the program, of its folder below `tools/` and of that below `.cache/`.
        package: what is built of the module.

    """
    go = shutil.which("go")
    if go is None:
        missing = f"go is not installed: {name} cannot be built"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    cache = ROOT / ".cache" / name
    cache.mkdir(parents=True, exist_ok=True)
    program = cache / name
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Go itself knows what is up to date, from its cache.
        subprocess.run(
            [go, "build", "-trimpath", "-o", program, package],
            cwd=ROOT / "tools" / name,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
        )
    return program
