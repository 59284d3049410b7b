"""Kill the servers of a benchmark that was itself killed, and so could not end them.

A signal at the parent's death would reach the first process of a server only, and some leave their
workers behind. This one waits beside the benchmark, is told of every group that starts and stops,
and notices the end of the benchmark by the end of its own input.
"""

import contextlib
import functools
import os
import signal
import subprocess
import sys


def watch(group: int) -> None:
    """Have a process group killed if this process ends before it says `forget`."""
    _tell(f"watch {group}")


def forget(group: int) -> None:
    """Take back `watch`: the group has ended, and its number may be given to others."""
    _tell(f"forget {group}")


def _tell(what: str) -> None:
    """Send the guard one line."""
    pipe = _guard().stdin
    if pipe is not None:
        pipe.write(f"{what}\n")
        pipe.flush()


@functools.cache
def _guard() -> subprocess.Popen[str]:
    """Start the guard once, out of reach of signals that the terminal sends to this group."""
    return subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, text=True, start_new_session=True
    )


def main() -> None:
    """Follow what is told; when nobody can tell any more, kill what is left."""
    groups: set[int] = set()
    for line in sys.stdin:
        verb, group = line.split()
        (groups.add if verb == "watch" else groups.discard)(int(group))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
