"""Ties processes to those that started them."""

import ctypes
import signal

PR_SET_PDEATHSIG = 1
"""prctl(2): a signal to get when the parent dies."""


def end_with_parent(by: signal.Signals = signal.SIGTERM) -> None:
    """Have the kernel send us a signal when our parent ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)
