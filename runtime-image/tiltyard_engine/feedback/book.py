"""A file of numbers that several processes add to, each change of which is whole or did not happen.

Whoever changes something holds a lock, writes down first what every number will be, and then sets
the numbers. One that is killed in between leaves what it wrote down: whoever has the lock next
finishes it. The kernel frees the locks of a process that ends, however it ends.
"""

import fcntl
import mmap
import os
import secrets
import tempfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from struct import Struct
from typing import Final

from tiltyard_engine.counters import PAGE, WORD

_JOURNAL: Final = 1 << 17
"""Numbers that one change may set."""

_HEAD: Final = PAGE // WORD
_LENGTH: Final = 5
"""Word that says how much is written down; the words before it are the file's identity and name."""

_CLAIMED: Final = 6
"""Word that says how many places were ever taken."""

_NAME_BYTES: Final = 8
FIRST: Final = _HEAD + 2 * _JOURNAL
"""Words in front of those that users of the file lay out."""

_REAL, _WORD = Struct("<d"), Struct("<Q")
_CLAIMS: Final = 1 << 30
"""Where the bytes begin whose locks say that a place is taken; the lock of changes is byte 0."""


class Change:
    """Numbers as they will be."""

    def __init__(self, words: memoryview) -> None:
        self._words = words
        self.fresh: dict[int, int] = {}

    def read(self, at: int) -> int:
        """Give a number as it will be."""
        found = self.fresh.get(at)
        return self._words[at] if found is None else found

    def write(self, at: int, number: int) -> None:
        """Set a number."""
        self.fresh[at] = number

    def add(self, at: int, number: int) -> None:
        """Add to a whole number."""
        self.fresh[at] = self.read(at) + number

    def add_real(self, at: int, number: float) -> None:
        """Add to a number that need not be whole."""
        (before,) = _REAL.unpack(_WORD.pack(self.read(at)))
        (self.fresh[at],) = _WORD.unpack(_REAL.pack(before + number))


class Book:
    """The file.

    Args:
        path: where it is, or will be.
        identity: 32 bytes that change with the layout; a file of another is begun anew.
        size: words that its users lay out.

    """

    def __init__(self, path: Path, identity: bytes, size: int) -> None:
        length = (FIRST + size) * WORD
        known = _known(path, identity, length)
        self._file = _begun(path, identity, length) if known is None else known
        self._map = mmap.mmap(self._file, length)
        self.words: memoryview = memoryview(self._map).cast("Q")
        self.incarnation = self._map[len(identity) : len(identity) + _NAME_BYTES].hex()
        """Name of this file: the sums of one replace those that it gave before."""

    @contextmanager
    def changing(self) -> Iterator[Change]:
        """Change numbers; all of them, or none where something goes wrong."""
        fcntl.lockf(self._file, fcntl.LOCK_EX, 1)
        try:
            self._finish()
            change = Change(self.words)
            yield change
            self._write_down(change.fresh)
            self._finish()
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1)

    def snapshot(self, first: int, size: int) -> "array[int]":
        """Copy numbers, none of which is half of a change."""
        with self.changing():
            return array("Q", bytes(self.words[first : first + size]))

    def claim(self, places: int) -> int:
        """Take a place that no living process has, and keep it as long as this one lives."""
        for place in range(places):
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _CLAIMS + place)
            except OSError:
                continue
            with self.changing() as change:
                change.write(_CLAIMED, max(change.read(_CLAIMED), place + 1))
            return place
        raise RuntimeError(f"all {places} places of a file of sums are taken: end other engines")

    @property
    def claimed(self) -> int:
        """How many places were ever taken."""
        return int(self.words[_CLAIMED])

    def _write_down(self, fresh: dict[int, int]) -> None:
        pairs = array("Q")
        for pair in fresh.items():
            pairs.extend(pair)
        self.words[_HEAD : _HEAD + len(pairs)] = memoryview(pairs)
        self.words[_LENGTH] = len(pairs)

    def _finish(self) -> None:
        """Do what was written down, by us or by somebody who was killed."""
        words = self.words
        length = words[_LENGTH]
        if length:
            pairs = words[_HEAD : _HEAD + length].tolist()
            for at, number in zip(pairs[::2], pairs[1::2], strict=True):
                words[at] = number
            words[_LENGTH] = 0


def reals(numbers: Sequence[int]) -> list[float]:
    """Read words as numbers that need not be whole."""
    return list(memoryview(array("Q", numbers)).cast("B").cast("d"))


def _known(path: Path, identity: bytes, length: int) -> int | None:
    """Open a file that is there and has the same layout."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if os.fstat(file).st_size == length and os.pread(file, len(identity), 0) == identity:
        return file
    os.close(file)
    return None


def _begun(path: Path, identity: bytes, length: int) -> int:
    """Begin a file; one that was there stays whole for an engine that has it open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
    os.write(file, identity + secrets.token_bytes(_NAME_BYTES))
    os.truncate(file, length)
    Path(name).replace(path)
    return file
