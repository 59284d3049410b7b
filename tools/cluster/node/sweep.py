"""Leaves nothing of a node behind, however it ended. The next one begins with this, too."""

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path

from cluster.node import cgroups, network
from cluster.node.mounts import unmount_below
from cluster.node.place import NAME, STATE

_ENDS_SECONDS = 20.0
_LOGS = Path("/var/log/containers")
"""The kubelet's links to logs; no setting moves them."""

_CACHE = Path("/var/lib/cni/results")
"""What the container runtime's library remembers of networks; likewise."""


def sweep() -> None:
    """End every process of the node, and remove its mounts, networks, cgroups and files."""
    end_processes()
    unmount_below(STATE)
    network.remove()
    cgroups.remove()
    for link in _LOGS.glob("*"):
        if link.is_symlink() and link.readlink().is_relative_to(STATE):
            link.unlink()
    for file in _CACHE.glob(f"{NAME}-*"):
        file.unlink()
    shutil.rmtree(STATE, ignore_errors=True)


def end_processes() -> None:
    """Kill all that the node runs until nothing is left: what dies may just start another."""
    end = time.monotonic() + _ENDS_SECONDS
    while found := (network.processes() | cgroups.processes()) - {os.getpid()}:
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        if time.monotonic() > end:
            break
        time.sleep(0.05)
