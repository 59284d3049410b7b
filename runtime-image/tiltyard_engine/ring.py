"""Records from one process to another through memory that both map; one writes, one reads.

Nothing is locked and nothing is waited for: a record that finds no room is not taken. The state is
in the shared memory alone, so that either side may die and be started again.

While the reader keeps up, every record lies at the same place: what is in the processor's caches
stays there, and memory is used for as much as ever waited at once.
"""

import mmap
import os
import select
from collections.abc import Iterator, Sequence
from contextlib import suppress

Piece = bytes | memoryview

RING_BYTES = 32 << 20
"""Room for records; what was never needed is never backed by memory."""

SLOTS = 1024
"""Most records that wait."""

ALIGNMENT = 8
_WORD = 8
_PUBLISHED, _CONSUMED, _ASLEEP, _TABLE = range(4)
"""Words of the header: how many records were written and read, whether the reader sleeps, and from
there offset and length of each slot's record."""


class Ring:
    """Made before the fork; one process puts, another gets."""

    def __init__(self, notes: int = 0) -> None:
        """Map the memory, with room for a few numbers that the reader keeps for its successor."""
        header = (_TABLE + 2 * SLOTS + notes) * _WORD
        self._map = mmap.mmap(-1, header + RING_BYTES)
        whole = memoryview(self._map)
        self._words = whole[:header].cast("Q")
        self._records = whole[header:]
        self.notes = self._words[_TABLE + 2 * SLOTS :]
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, pieces: Sequence[Piece]) -> bool:
        """Write a record, each piece at a multiple of ALIGNMENT; False where there is no room."""
        words = self._words
        length = sum(aligned(len(piece)) for piece in pieces)
        place = self._place(length)
        if place is None:
            return False
        position = place
        for piece in pieces:
            self._records[position : position + len(piece)] = piece
            position += aligned(len(piece))
        published = words[_PUBLISHED]
        slot = _TABLE + 2 * (published % SLOTS)
        words[slot], words[slot + 1] = place, length
        words[_PUBLISHED] = published + 1  # last: from here on it is the reader's
        if words[_ASLEEP]:
            self.wake()
        return True

    def get(self) -> memoryview | None:
        """Look at the oldest record; it stays in place until `done`."""
        words = self._words
        consumed = words[_CONSUMED]
        if consumed == words[_PUBLISHED]:
            return None
        slot = _TABLE + 2 * (consumed % SLOTS)
        return self._records[words[slot] : words[slot] + words[slot + 1]]

    def waiting(self) -> Iterator[memoryview]:
        """Look at all records that wait, oldest first; they stay in place until `done`."""
        words = self._words
        for number in range(words[_CONSUMED], words[_PUBLISHED]):
            slot = _TABLE + 2 * (number % SLOTS)
            yield self._records[words[slot] : words[slot] + words[slot + 1]]

    @property
    def published(self) -> int:
        """How many records have been written."""
        return self._words[_PUBLISHED]

    @property
    def consumed(self) -> int:
        """How many records have been given back."""
        return self._words[_CONSUMED]

    def done(self, records: int = 1) -> None:
        """Give the places of the oldest records back."""
        self._words[_CONSUMED] += records

    def sleep(self, seconds: float) -> None:
        """Wait until there is a record, or somebody wakes the reader."""
        words = self._words
        words[_ASLEEP] = 1
        if words[_CONSUMED] == words[_PUBLISHED]:
            select.select([self._bell], [], [], seconds)
        words[_ASLEEP] = 0
        with suppress(BlockingIOError):
            os.eventfd_read(self._bell)

    def wake(self) -> None:
        """Ring the reader's bell."""
        self._words[_ASLEEP] = 0
        os.eventfd_write(self._bell, 1)

    def _place(self, length: int) -> int | None:
        """Where a record of this length can lie, in one piece."""
        words = self._words
        published, consumed = words[_PUBLISHED], words[_CONSUMED]
        if published == consumed:
            return 0 if length <= RING_BYTES else None
        if published - consumed >= SLOTS:
            return None
        newest = _TABLE + 2 * ((published - 1) % SLOTS)
        oldest = words[_TABLE + 2 * (consumed % SLOTS)]
        end = words[newest] + words[newest + 1]
        if words[newest] < oldest:  # it has begun again from the front
            return end if end + length <= oldest else None
        if end + length <= RING_BYTES:
            return end
        return 0 if length <= oldest else None


def aligned(length: int) -> int:
    """Bytes that a piece of a record takes, up to where the next one lies."""
    return -(-length // ALIGNMENT) * ALIGNMENT
