"""What a worker takes from itself before it loads a stranger's code.

The kernel holds it to that: memory, no new rights, and where Landlock is there (Linux 5.13; the
bounds on signals 6.12) no writing outside its folder and no signals to anybody but its own.
"""

import contextlib
import ctypes
import os
import resource
import signal
import struct
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
SYS_CREATE_RULESET, SYS_ADD_RULE, SYS_RESTRICT_SELF = 444, 445, 446
"""The same numbers on every architecture."""

VERSION_ASKED = 1
RULE_PATH_BENEATH = 1
MOST_PROCESSES = 4096
"""Of the user: a bound for a fork bomb in the seconds before its group is ended."""

WRITES_OF_VERSION = ((1, 0x1FF2), (2, 1 << 13), (3, 1 << 14))
"""Rights to write, make, remove, move and truncate, by the version that brought them."""

FILES_ONLY = (1 << 1) | (1 << 14)
"""What may be allowed of a single file: to write and to truncate it."""

SIGNALS_AND_SOCKETS = 0b11
"""Version 6: no signals, and no abstract sockets, beyond one's own."""

WRITABLE = ("/dev/null", "/dev/shm")  # noqa: S108 - where processes of one model share memory


def confine(keeper: int, memory: int) -> None:
    """Bound this process; it ends with its keeper."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # it ended before we could ask to be told
        os._exit(1)
    _bound(resource.RLIMIT_CORE, 0)
    _bound(resource.RLIMIT_DATA, memory)
    _bound(resource.RLIMIT_NPROC, MOST_PROCESSES)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _landlock(libc, Path.cwd())


def _bound(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(what, (most, most))


def _landlock(libc: ctypes.CDLL, folder: Path) -> None:
    """Refuse writes elsewhere and signals to others; do nothing where the kernel cannot."""
    version = libc.syscall(SYS_CREATE_RULESET, None, 0, VERSION_ASKED)
    writes = sum(rights for since, rights in WRITES_OF_VERSION if version >= since)
    if version < 1:
        return
    scoped = SIGNALS_AND_SOCKETS if version >= 6 else 0
    attributes = struct.pack("<QQQ", writes, 0, scoped)
    ruleset = libc.syscall(SYS_CREATE_RULESET, attributes, len(attributes), 0)
    if ruleset < 0:
        return
    for path in (str(folder), *WRITABLE):
        with contextlib.suppress(OSError):
            _allow(libc, ruleset, path, writes)
    libc.syscall(SYS_RESTRICT_SELF, ruleset, 0)
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, writes: int) -> None:
    rights = writes if Path(path).is_dir() else writes & FILES_ONLY
    beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("<Qi", rights, beneath)
        libc.syscall(SYS_ADD_RULE, ruleset, RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(beneath)
