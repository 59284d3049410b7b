"""Sets of draws in the counter file, each with one writer and readers in other processes.

A unit is known by its draw, a number below 2^64 that every engine gives to the same key. A place
that holds 0 is free; the draw 0 itself is kept as 1, which is as rare as any other.
"""

from array import array
from collections.abc import Collection, Iterator, MutableSequence
from typing import Final

from tiltyard_api.evidence import MOST_KEYS
from tiltyard_engine.counters import Block, Series

_SLOTS_BITS: Final = (2 * MOST_KEYS - 1).bit_length()
_SLOTS: Final = 1 << _SLOTS_BITS
"""Twice as many places as draws, so that a look finds a free one soon."""

_SPREAD: Final = 0x9E3779B97F4A7C15
"""Draws of numbers that are draws themselves end in zeros: their first bits must count as well."""

_ALL: Final = (1 << 64) - 1


def set_series(metric: str, *labels: str) -> Series:
    """Numbers that a set takes: how many draws it holds, and its places."""
    return Series(metric, labels, size=_SLOTS + 1)


class DrawSet:
    """Draws of units that something happened to in one worker.

    Args:
        block: the worker's.
        series: where the set lies.
        room: most draws that it takes, at most `MOST_KEYS`.

    """

    def __init__(self, block: Block, series: Series, room: int) -> None:
        self._words = block.words
        self._start = block.place(series)
        self._room = room

    def add(self, draw: int) -> None:
        """Take in a draw that is not there, into a set that is not full."""
        words = self._words
        words[self._place(draw)] = draw or 1
        words[self._start] += 1  # after the draw: who reads meanwhile finds no more than there are

    def replace(self, draws: Collection[int]) -> None:
        """Hold these draws and no other, in one copy of the memory."""
        fresh = array("Q", bytes(8 * (_SLOTS + 1)))
        for draw in draws:
            fresh[_place(fresh, 1, draw)] = draw or 1
        fresh[0] = len(draws)
        self._words[self._start : self._start + _SLOTS + 1] = memoryview(fresh)

    def __contains__(self, draw: int) -> bool:
        """Whether a draw was taken in."""
        return bool(self._words[self._place(draw)])

    def __iter__(self) -> Iterator[int]:
        """Every draw, in no order."""
        places = self._words[self._start + 1 : self._start + 1 + _SLOTS]
        return (draw for draw in places.tolist() if draw)

    def __len__(self) -> int:
        """How many draws were taken in."""
        return int(self._words[self._start])

    @property
    def full(self) -> bool:
        """Whether there is room for no other draw."""
        return len(self) >= self._room

    def _place(self, draw: int) -> int:
        return _place(self._words, self._start + 1, draw)


def _place(words: MutableSequence[int] | memoryview, first: int, draw: int) -> int:
    """Where a draw is among the places that begin at `first`, or would be."""
    draw = draw or 1
    slot = (draw * _SPREAD & _ALL) >> (64 - _SLOTS_BITS)
    while words[first + slot] not in (0, draw):
        slot = (slot + 1) % _SLOTS
    return first + slot
