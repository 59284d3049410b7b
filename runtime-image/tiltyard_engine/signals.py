"""Signals of the supervisor, which waits for them and has no handlers.

A signal that one thread holds is given to another that does not, and without a handler it ends the
process. Libraries start threads when they are imported, so signals are held before that: a thread
inherits what is held.
"""

import signal
import sys
from typing import Final

ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)
SIGNALS: Final = frozenset({signal.SIGCHLD, signal.SIGHUP, signal.SIGUSR1, *ENDINGS})


def hold() -> set[signal.Signals]:
    """Hold every signal from now on; gives those that were held before."""
    return {signal.Signals(n) for n in signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)}


def end_when_told(held_before: set[signal.Signals]) -> None:
    """Let a process that does not serve yet end at once, unless its parent wants otherwise.

    The first process of a container would ignore signals that nobody handles.
    """
    for number in ENDINGS:
        signal.signal(number, lambda *_: sys.exit(0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, set(ENDINGS) - held_before)
