"""The way of records from one process to the recorder: a ring, and how many rows went over it.

The number of rows lies in the ring's own memory, in one of two places that take turns, so that it
is right for what is published whatever moment its writer is killed at.
"""

import threading
from collections.abc import Mapping, Sequence

from tiltyard_engine.counters import Block
from tiltyard_engine.ring import Piece, Ring


def make_way(streams: int) -> Ring:
    """Make a ring for records of so many streams, and one note more: whether they were settled."""
    return Ring(notes=2 * streams + 1)


class Account:
    """What a sender counts of one stream: its rows come to an end here, or are the recorder's."""

    def __init__(self, block: Block, labels: tuple[str, str]) -> None:
        self._words = block.words
        self._offered = block.offset("tiltyard_records_offered_total", *labels)
        self._starved = block.offset("tiltyard_records_total", *labels, "starved")
        self._crashed = block.offset("tiltyard_records_total", *labels, "crashed")

    def offered(self, rows: int) -> None:
        """Count rows that are to be recorded."""
        self._words[self._offered] += rows

    def starved(self, rows: int) -> None:
        """Count rows for which there was no room on the way."""
        self._words[self._starved] += rows

    def crashed(self, rows: int) -> None:
        """Count rows that a process took with it when it died."""
        self._words[self._crashed] += rows

    @property
    def handed(self) -> int:
        """Rows that were not lost on this side."""
        words = self._words
        return int(words[self._offered] - words[self._starved] - words[self._crashed])


class Sender:
    """Puts records of some streams on the way; each stream of a ring has one sender."""

    def __init__(self, ring: Ring, streams: int, accounts: Mapping[int, Account]) -> None:
        self._ring = ring
        self._streams = streams
        self._accounts = accounts
        self._lock = threading.Lock()  # lanes of challengers are threads

    def account(self, stream: int) -> Account:
        """Where rows of a stream are counted."""
        return self._accounts[stream]

    def begin(self) -> None:
        """Take what the counters say for what went over a new way."""
        for number, account in self._accounts.items():
            self._ring.notes[number] = account.handed

    def settle(self) -> None:
        """Count what a process before us had in its hands when it died."""
        for number, account in self._accounts.items():
            account.crashed(account.handed - self._sent(number))

    def put(self, stream: int, pieces: Sequence[Piece], rows: int) -> None:
        """Send rows of a stream, or count that there was no room."""
        with self._lock:
            notes = self._ring.notes
            after = (self._ring.published + 1) % 2 * self._streams
            for number in self._accounts:
                notes[after + number] = self._sent(number)
            notes[after + stream] += rows
            taken = self._ring.put(pieces)
        if not taken:
            self._accounts[stream].starved(rows)

    def _sent(self, stream: int) -> int:
        notes = self._ring.notes
        return int(notes[self._ring.published % 2 * self._streams + stream])
