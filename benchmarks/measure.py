"""Read from /proc what a tree of processes costs: processor time and memory.

Processor time a request is the figure to compare. Requests a second and latencies move by half
with the neighbours on a shared machine; the time that the kernel has charged to a process does not.
"""

import os
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """One line of the process table."""

    pid: int
    parent: int
    group: int
    state: str
    seconds: float  # user and system, its own and that of the children it has reaped


@dataclass(frozen=True)
class Memory:
    """Memory of a tree in MB: shared pages counted in every process (RSS), and shared out (PSS)."""

    rss: float
    pss: float


def read_process(pid: int) -> Process | None:
    """Read one process, or None when it is gone."""
    try:
        stat = (PROC / str(pid) / "stat").read_text(errors="replace")  # a name may be any bytes
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()  # the name before it may hold blanks
    ticks = sum(int(field) for field in fields[11:15])
    return Process(pid, int(fields[1]), int(fields[2]), fields[0], ticks / TICK)


def all_processes() -> list[Process]:
    """Read the whole process table."""
    found = (read_process(int(entry.name)) for entry in PROC.iterdir() if entry.name.isdigit())
    return [process for process in found if process is not None]


def tree(root: int) -> list[Process]:
    """Return the process `root` and all that descend from it."""
    table = all_processes()
    chosen = {root}
    grown = True
    while grown:
        children = {process.pid for process in table if process.parent in chosen}
        grown = not children <= chosen
        chosen |= children
    return [process for process in table if process.pid in chosen]


def subtree_running(root: int, word: str) -> int:
    """Return the topmost process below `root` whose command holds `word`, or `root` itself."""
    for process in sorted(tree(root), key=lambda process: process.pid):
        command = PROC / str(process.pid) / "cmdline"
        if process.pid != root and word.encode() in command.read_bytes():
            return process.pid
    return root


def seconds_of(root: int) -> float:
    """Add up the processor time of a tree."""
    return sum(process.seconds for process in tree(root))


def memory_of(root: int) -> Memory:
    """Add up the memory of a tree."""
    rss = pss = 0
    for process in tree(root):
        try:
            rollup = (PROC / str(process.pid) / "smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        kilobytes = dict(line.split(":", 1) for line in rollup.splitlines()[1:])
        rss += int(kilobytes["Rss"].split()[0])
        pss += int(kilobytes["Pss"].split()[0])
    return Memory(rss / 1024, pss / 1024)


def machine_seconds() -> float:
    """Return the time that all cores were busy, including what the hypervisor took away.

    Interrupts are left out: on a loopback benchmark they are its own packets.
    """
    first = (PROC / "stat").read_text().splitlines()[0].split()
    user, nice, system, steal = (int(first[column]) for column in (1, 2, 3, 8))
    return (user + nice + system + steal) / TICK


def own_seconds() -> float:
    """Return the time of this process and of the children it has waited for (the load)."""
    return sum(os.times()[:4])
