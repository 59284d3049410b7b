"""Which routing table each worker runs, as workers tell it through the counter file.

Revision and hash are several numbers, and their reader is another process. A worker therefore
writes the revision twice: before the hash, and after it. Where the two differ the hash between
them is half of one table and half of another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tiltyard_api.routing import RoutingTable
from tiltyard_engine.counters import Block, Series

REVISION: Final = "tiltyard_routing_revision"
_COMING: Final = "routing_coming"
_HASH: Final = "routing_hash"
_PARTS: Final = 4
_ATTEMPTS: Final = 100
"""A worker that writes is done in microseconds; one that never is was killed while it wrote."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A table that is in force."""

    revision: int
    hash: str | None
    """None: not known, since a worker is about to change it or has none yet."""


def in_force_series(pipeline: str) -> Iterator[Series]:
    """Numbers by which a worker tells what it runs; only the revision is exposed."""
    yield Series(REVISION, (pipeline,))
    yield Series(_COMING, (pipeline,))
    for part in range(_PARTS):
        yield Series(_HASH, (pipeline, str(part)))


def tell(block: Block, pipeline: str, table: RoutingTable) -> None:
    """Say that this worker runs a table."""
    _write(block, pipeline, table.revision, int(table.hash or "0", 16))


def forget(block: Block, pipeline: str) -> None:
    """Say that there is no such worker yet, whatever a process before us has left in the file."""
    _write(block, pipeline, 0, 0)


def lowest(blocks: Sequence[Block], pipeline: str) -> InForce:
    """What the worker furthest behind runs: no worker runs anything older."""
    each = [_read(block, pipeline) for block in blocks]
    revision = min(one.revision for one in each)
    hashes = {one.hash for one in each if one.revision == revision}
    return InForce(revision, hashes.pop() if len(hashes) == 1 else None)


def _write(block: Block, pipeline: str, revision: int, digest: int) -> None:
    words = block.words
    words[block.offset(_COMING, pipeline)] = revision
    for part in range(_PARTS):
        words[block.offset(_HASH, pipeline, str(part))] = digest >> 64 * part & (1 << 64) - 1
    words[block.offset(REVISION, pipeline)] = revision


def _read(block: Block, pipeline: str) -> InForce:
    words = block.words
    revision = 0
    for _ in range(_ATTEMPTS):
        revision = words[block.offset(REVISION, pipeline)]
        parts = [words[block.offset(_HASH, pipeline, str(part))] for part in range(_PARTS)]
        if words[block.offset(_COMING, pipeline)] == revision:
            digest = sum(part << 64 * place for place, part in enumerate(parts))
            return InForce(revision, f"{digest:064x}" if digest else None)
    return InForce(revision, None)
