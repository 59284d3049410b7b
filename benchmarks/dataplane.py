"""The one place where the benchmark calls the engine in process, without transport."""

from collections.abc import Callable
from pathlib import Path

Answer = Callable[[list[bytes]], list[bytes]]


def open_dataplane(manifest: Path) -> Answer:
    """Load a manifest as the engine does and return its data plane as a plain function.

    The function takes the bodies (records) that one turn of the event loop would hold and returns
    their answers, with all that a served request pays for except its transport: limits, decode,
    draw, steps, encode, ids, headers and counters.
    """
    raise NotImplementedError(f"the engine has no such function yet, wanted for {manifest.stem}")
