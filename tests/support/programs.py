"""Runs the program `tiltyard` to its end."""

import os
import subprocess
from pathlib import Path

from engines import TILTYARD


def tiltyard(
    *arguments: object, data: str | None = None, cache: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a command that ends by itself."""
    environment = os.environ | ({"TILTYARD_CACHE": str(cache)} if cache else {})
    return subprocess.run(
        [TILTYARD, *map(str, arguments)],
        input=data,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
    )


def descendants(process: int) -> set[int]:
    """Every process below one, as the kernel tells it."""
    try:
        text = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return set()
    children = set(map(int, text.split()))
    return children.union(*map(descendants, children))


def command_line(process: int) -> str:
    """Program and arguments of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8").replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def alive(process: int) -> bool:
    """Whether a process runs still; one that only waits to be reaped does not."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] not in "ZX"
