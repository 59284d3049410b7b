"""Ties processes to those that started them."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1
"""prctl(2): a signal to get when the parent dies."""


def end_with_parent() -> None:
    """Have the kernel send us SIGTERM when our parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
