"""One control plane for several processes: the first that needs it starts it, the last ends it.

Whoever uses it holds a shared lock on a file. The keeper, a process of its own, ends when it can
have that lock alone. A lock goes with its process, so nothing is left behind by a crash.
"""

import fcntl
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from cluster.binaries import Binaries
from cluster.crds import install_crds
from cluster.plane import ControlPlane, NotReadyError, Running

SUMMARY = "summary.txt"
"""File of the directory that says for people what ran."""

_LOOK_SECONDS = 0.2
_START_SECONDS = {"keep": 100.0, "keep-node": 900.0}
"""A node's images may have to be built first, on a busy machine."""

_TOOLS = Path(__file__).resolve().parents[1]

Start = Callable[[Path, Binaries], AbstractContextManager[Running]]
"""Runs a control plane with its state in a directory."""


@contextmanager
def shared(directory: Path, keeper: str = "keep") -> Iterator[ControlPlane]:
    """Use the control plane of a directory until the block ends.

    Args:
        directory: for its state, and for what its users know of each other.
        keeper: command that runs it: `keep`, or `keep-node` for one that has a node.

    """
    directory.mkdir(parents=True, exist_ok=True)
    facts = directory / "ready.json"
    with (directory / "users").open("a") as users:
        with (directory / "starting").open("a") as starting:
            fcntl.flock(starting, fcntl.LOCK_EX)
            fcntl.flock(users, fcntl.LOCK_SH)
            if not facts.exists():
                _start_keeper(keeper, directory, facts)
        yield _read(facts)


def keep(directory: Path, binaries: Binaries, start: Start) -> None:
    """Run a control plane for those who hold the lock, until nobody does."""
    facts = directory / "ready.json"
    state = Path(tempfile.mkdtemp(prefix="plane-", dir=directory))
    with (directory / "users").open("a") as users:
        try:
            with start(state, binaries) as processes:
                plane = processes.plane
                install_crds(plane)
                (directory / SUMMARY).write_text(
                    f"Kubernetes {plane.version} ({binaries.origin}) "
                    f"started in {plane.seconds:.1f} s; its logs: {state}\n"
                )
                _write(facts, plane)
                while not _alone(users):
                    time.sleep(_LOOK_SECONDS)
                facts.unlink()
        finally:
            shutil.rmtree(state / "etcd", ignore_errors=True)  # large; the logs stay


def _alone(users: TextIO) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _start_keeper(keeper: str, directory: Path, facts: Path) -> None:
    """Start the keeper apart from this process, which may end before others that use it."""
    log = directory / "keeper.log"
    opened = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-m", "cluster", keeper, str(directory)],
        os.environ | {"PYTHONPATH": str(_TOOLS)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), opened, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    end = time.monotonic() + _START_SECONDS[keeper]
    while not facts.exists():
        ended, _ = os.waitpid(pid, os.WNOHANG)
        if ended or time.monotonic() > end:
            raise NotReadyError(f"no control plane; its keeper said:\n{log.read_text()}")
        time.sleep(_LOOK_SECONDS)


def _write(facts: Path, plane: ControlPlane) -> None:
    """Make known how to reach a control plane; readers see all of it or nothing."""
    unfinished = facts.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(json.dumps(vars(plane), default=str))
    unfinished.rename(facts)


def _read(facts: Path) -> ControlPlane:
    said = json.loads(facts.read_text())
    return ControlPlane(**said | {name: Path(said[name]) for name in ("directory", "kubectl")})
