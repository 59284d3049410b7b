"""When Python looks for garbage, and what freed memory a process keeps.

What requests make dies by its reference count, and the next one needs as much memory again.
"""

import ctypes
import gc

NEW_OBJECTS = 50_000
"""New containers before a collection: ten turns of a full worker; a twentieth of the CPU saved."""

KEPT_BYTES = 16 << 20
"""Freed memory that is kept. Without it a megabyte of answer is handed back to the system and asked
for again page by page: a quarter of the processor time of 1000 rows as records."""

MAPPED_BYTES = 8 << 20
"""What takes more than that is had from the system by itself, and given back at once."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def settle() -> None:
    """Keep what is loaded out of every collection, and collect rarely from now on.

    A process that is forked afterwards copies no page of it for the collector's sake.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)


def keep_freed_memory() -> None:
    """Keep some of what is freed; glibc is told so, other libraries of C decide for themselves."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, MAPPED_BYTES)
