"""Which feedback was taken already: fingerprints of the last million, in 8 MB that never grow.

Fingerprints of 32 bits lie in groups, 127 each, the oldest of a group gives way. Of the last 2^20 a
group has 67 on average (Poisson): the oldest of them is there no more once in 2e10, any of them at
one moment once in a million. Another fingerprint is taken for one of a full group once in 3e7.
"""

from typing import Final

from tiltyard_engine.counters import WORD
from tiltyard_engine.feedback.book import Change
from tiltyard_engine.feedback.layout import GROUP, GROUPS

_HALVES: Final = 2 * GROUP
"""Of a group: the place that is filled next, then fingerprints."""

_HALF: Final = (1 << 32) - 1
_HALF_BYTES: Final = 4


class Repeats:
    """The fingerprints.

    Args:
        words: of the file.
        first: where they begin.

    """

    def __init__(self, words: memoryview, first: int) -> None:
        self._first = first
        self._bytes = words.cast("B")

    def new(self, change: Change, name: int) -> bool:
        """Take in what has not been seen; tells whether it was new.

        Args:
            change: what is being changed.
            name: 64 bits that stand for the feedback.

        """
        group = self._first + (name >> 32) % GROUPS * GROUP
        print_ = name & _HALF or 1
        start = group * WORD
        if _among(bytes(self._bytes[start + _HALF_BYTES : start + GROUP * WORD]), print_):
            return False
        if print_ in _fresh(change, group):
            return False
        place = _half(change, group, 0) or 1
        _set(change, group, place, print_)
        _set(change, group, 0, place % (_HALVES - 1) + 1)
        return True


def _among(group: bytes, print_: int) -> bool:
    """Whether a fingerprint is one of a group's."""
    wanted = print_.to_bytes(_HALF_BYTES, "little")
    at = group.find(wanted)
    while at % _HALF_BYTES and at > 0:  # the end of one and the beginning of the next
        at = group.find(wanted, at + 1)
    return at >= 0


def _fresh(change: Change, group: int) -> list[int]:
    """Fingerprints of a group that this change has brought."""
    fresh = change.fresh
    if group not in fresh:  # whatever is taken in moves the group's first word
        return []
    found = [fresh[at] for at in range(group, group + GROUP) if at in fresh]
    return [half for word in found for half in (word & _HALF, word >> 32)]


def _half(change: Change, group: int, place: int) -> int:
    word = change.read(group + place // 2)
    return word >> 32 if place % 2 else word & _HALF


def _set(change: Change, group: int, place: int, half: int) -> None:
    at = group + place // 2
    word = change.read(at)
    change.write(at, word & _HALF | half << 32 if place % 2 else word & ~_HALF | half)
