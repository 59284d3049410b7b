"""What the command line tells beside its results."""

import sys


def notice(text: str) -> None:
    """Tell people, on standard error, what is going on."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def result(text: str) -> None:
    """Write a line of the result, at once: a program may wait for it."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
