"""When Python looks for garbage: rarely, since what requests make dies by its reference count."""

import gc

NEW_OBJECTS = 50_000
"""New containers before a collection: ten turns of a full worker; a twentieth of the CPU saved."""


def settle() -> None:
    """Keep what is loaded out of every collection, and collect rarely from now on.

    A process that is forked afterwards copies no page of it for the collector's sake.
    """
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 20, 100)
