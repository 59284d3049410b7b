"""Environments in which stock clients run, apart from ours: each has the versions it asks for."""

import fcntl
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

CACHE = Path(__file__).parents[2] / ".cache" / "clients"
_SCRIPT_SECONDS = 90


def python_with(name: str, requirements: tuple[str, ...]) -> Path:
    """Give the Python of an environment with these packages; it is made on first use."""
    digest = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:12]
    home = CACHE / f"{name}-{digest}"
    python = home / "bin" / "python"
    complete = home / "complete"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            _run(sys.executable, "-m", "venv", "--clear", home)
            install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
            _run(python, *install, "--only-binary", ":all:", *requirements)
            complete.touch()
    return python


def run_script(python: Path, script: Path, asked: dict[str, Any]) -> dict[str, Any]:
    """Run a client's script with what it shall ask for on its standard input."""
    done = subprocess.run(
        [python, "-I", script],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=_SCRIPT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{script.name} failed:\n{done.stderr}"
    return dict(json.loads(done.stdout))


def _run(*command: object) -> None:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command} failed:\n{done.stderr}"
