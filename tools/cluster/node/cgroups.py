"""The cgroup that everything in pods is below, in either version of the kernel's interface."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from cluster.node.place import NAME

ROOT = Path("/sys/fs/cgroup")
_GOES_SECONDS = 5.0


def make() -> None:
    """Make it in every hierarchy."""
    if unified():
        controllers = (ROOT / "cgroup.controllers").read_text().split()
        for controller in controllers:
            with suppress(OSError):  # one that is not ours to give
                (ROOT / "cgroup.subtree_control").write_text(f"+{controller}")
    for group in _ours():
        group.mkdir(exist_ok=True)
        _put_first(group)
        for file in ("cpuset.cpus", "cpuset.mems"):  # version 1 takes no process without these
            if (group / file).exists() and not (group / file).read_text().strip():
                (group / file).write_text((group.parent / file).read_text())


def _put_first(group: Path) -> None:
    """Let pods run before the rest of the machine, which may be a crowd of tests.

    Else all of them together would weigh as much as one of its processes.
    """
    for file, weight in (("cpu.shares", "16384"), ("cpu.weight", "1600")):
        if (group / file).exists():
            (group / file).write_text(weight)


def processes(pod_uid: str = "") -> set[int]:
    """Everything that runs in it or below, or in one pod."""
    found: set[int] = set()
    for group in _ours():
        for file in group.rglob(f"*{pod_uid}*/**/cgroup.procs" if pod_uid else "cgroup.procs"):
            with suppress(OSError):
                found.update(map(int, file.read_text().split()))
    return found


def remove() -> None:
    """Remove it; nothing may run in it any more."""
    end = time.monotonic() + _GOES_SECONDS
    for group in _ours():
        while group.exists() and time.monotonic() < end:
            for folder, _, _ in os.walk(group, topdown=False):
                with suppress(OSError):  # the kernel lets go of it a moment later
                    Path(folder).rmdir()


def limit(pod_uid: str, container: str, controller: str, file: str) -> str:
    """Give what the kernel was told of a container: a file of its cgroup."""
    base = ROOT if unified() else ROOT / controller
    (found,) = (base / NAME).rglob(f"*{pod_uid}/{container}/{file}")
    return found.read_text().strip()


def unified() -> bool:
    """Whether this machine has version 2."""
    return (ROOT / "cgroup.controllers").exists()


def _ours() -> Iterator[Path]:
    if unified():
        yield ROOT / NAME
        return
    for hierarchy in sorted(ROOT.iterdir()):
        if hierarchy.is_dir() and not hierarchy.is_symlink() and (hierarchy / "tasks").exists():
            yield hierarchy / NAME
