"""Signals are waited for, not handled: nothing is ever interrupted half-way.

The children inherit the held signals, so that a Ctrl-C at the terminal ends an engine in order and
never by a traceback.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = {signal.SIGTERM, signal.SIGINT}
HELD = ENDING | {signal.SIGCHLD}


class Stopped(Exception):  # noqa: N818 - no error: we were told to end
    """The user, or the system, wants the command to end."""


@contextmanager
def held_signals() -> Iterator[None]:
    """Hold signals back until `pause` asks for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def pause(seconds: float) -> None:
    """Wait, but not beyond the end of a child process.

    Raises:
        Stopped: told to end, before or meanwhile.

    """
    received = signal.sigtimedwait(HELD, seconds)
    if received and received.si_signo in ENDING:
        raise Stopped
