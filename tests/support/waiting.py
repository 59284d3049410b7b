"""Waiting for what others do."""

import time
from collections.abc import Callable

_LOOK_SECONDS = 0.05


def await_that(holds: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait until something holds, and fail where it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"it did not come true in {seconds:.0f} s"
        time.sleep(_LOOK_SECONDS)
