"""What goes on beside a test until its block ends."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def again_and_again(work: Callable[[], object], pause: float) -> Iterator[None]:
    """Do something in a thread of its own, with a pause of so many seconds before each time."""
    ended = threading.Event()

    def go() -> None:
        while not ended.wait(pause):
            work()

    worker = threading.Thread(target=go, daemon=True)
    worker.start()
    try:
        yield
    finally:
        ended.set()
        worker.join()
