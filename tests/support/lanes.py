"""Runs the cases of a fault experiment several at a time."""

import queue
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from ground import Ground

Case = TypeVar("Case")


def run_cases(
    lanes: Sequence[Ground], cases: Sequence[Case], run: Callable[[Ground, Case], None]
) -> dict[Case, str]:
    """Run each case in the next lane that is free; gives what went wrong with which.

    A lane in which something went wrong may not be as a case expects to find it, so it takes no
    more of them.
    """
    waiting: queue.SimpleQueue[Case] = queue.SimpleQueue()
    faults = dict.fromkeys(cases, "was not run")
    for case in cases:
        waiting.put(case)

    def work(lane: Ground) -> None:
        while not waiting.empty():
            case = waiting.get()
            try:
                run(lane, case)
            except Exception as error:  # noqa: BLE001 - told below, whatever it is
                faults[case] = f"{type(error).__name__}: {error}"
                return
            del faults[case]

    threads = [threading.Thread(target=work, args=[lane]) for lane in lanes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return faults
