"""Waiting for what others do."""

import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_SECONDS = 0.02

Got = TypeVar("Got")


def eventually(
    ask: Callable[[], Got], good: Callable[[Got], bool] = bool, seconds: float = 60.0
) -> Got:
    """Ask until the answer is good, and give it; fail where it is not in time."""
    end = time.monotonic() + seconds
    while not good(got := ask()):
        assert time.monotonic() < end, f"not good in {seconds:.0f} s; the last was {got!r}"
        time.sleep(_LOOK_SECONDS)
    return got


def await_that(holds: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until something holds, and fail where it does not in time."""
    eventually(holds, bool, seconds)
