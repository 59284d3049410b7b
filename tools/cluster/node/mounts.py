"""Mounts that others left."""

from pathlib import Path

from cluster.node.commands import run

_MOUNTS = Path("/proc/self/mounts")


def unmount_below(folder: Path) -> None:
    """Unmount what lies below a folder, the deepest first; some of it is there twice."""
    for _ in range(3):
        there = [line.split()[1] for line in _MOUNTS.read_text().splitlines()]
        for one in sorted((one for one in there if one.startswith(f"{folder}/")), reverse=True):
            run("umount", "--lazy", one, insist=False)
