"""How long Pipelines took to come to rest in fault experiments: told at the end of a run."""

import statistics
from collections.abc import Iterable
from pathlib import Path

_FILE = "rests.txt"

PROMISED = 30.0
"""Seconds: on a machine that does nothing else. A test waits longer, and the summary tells."""


def note(beside: Path, seconds: float) -> None:
    """Note how long it took until the last write of one experiment."""
    with beside.with_name(_FILE).open("a") as file:
        file.write(f"{seconds:.1f}\n")


def summary(directories: Iterable[Path]) -> str:
    """Say how long it took in all experiments of a run; empty where there were none."""
    files = [one / _FILE for one in directories if (one / _FILE).exists()]
    found = [float(line) for file in files for line in file.read_text().split()]
    if not found:
        return ""
    late = sum(one > PROMISED for one in found)
    half = statistics.median(found)
    return (
        f"fault experiments: {len(found)} Pipelines came to rest, half of them within "
        f"{half:.0f} s, {late} later than {PROMISED:.0f} s, the slowest after {max(found):.0f} s"
    )
