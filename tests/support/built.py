"""Servers from other people's packages, built or installed once into the cache."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools import need

CACHE = Path(__file__).parents[2] / ".cache" / "servers"


def go_program(package: str, version: str) -> Path:
    """Build a program of a Go module."""
    name = package.rpartition("/")[2]
    home = CACHE / f"{package.replace('/', '-')}-{version}"
    with _alone(home) as fresh:
        if fresh:
            _run([need("go"), "install", f"{package}@{version}"], fresh, GOBIN=str(fresh))
            fresh.rename(home)
    return home / name


def npm_program(package: str, version: str, program: str) -> Path:
    """Install a package of npm; returns one of its programs."""
    home = CACHE / f"{package}-{version}"
    with _alone(home) as fresh:
        if fresh:
            quiet = ("--no-audit", "--no-fund", "--ignore-scripts")
            _run([need("npm"), "install", *quiet, f"{package}@{version}"], fresh)
            fresh.rename(home)
    return home / "node_modules" / ".bin" / program


@contextmanager
def _alone(home: Path) -> Iterator[Path | None]:
    """Give a folder to build in, where it is not built; one process at a time builds it."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if home.is_dir():
            yield None
            return
        fresh = home.with_name(f"{home.name}.unfinished")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
        yield fresh


def _run(command: list[str], folder: Path, **environment: str) -> None:
    path = {"PATH": os.environ["PATH"], "HOME": str(Path.home())}
    done = subprocess.run(
        command, cwd=folder, env=path | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stderr}"
