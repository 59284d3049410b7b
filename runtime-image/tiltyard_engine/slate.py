"""Bytes in memory that processes share: one writes, others read them whole, even where it dies."""

import mmap

_HEAD = 24
_TURN = 0
"""Words of the header: how often was written, and how long what lies in either half is."""


class Slate:
    """Made before the fork. What was written last stays until something else is whole."""

    def __init__(self, size: int) -> None:
        """Map room for so many bytes; what was never needed is never backed by memory."""
        self.size = size
        self._map = mmap.mmap(-1, _HEAD + 2 * size)
        whole = memoryview(self._map)
        self._words = whole[:_HEAD].cast("Q")
        self._halves = whole[_HEAD : _HEAD + size], whole[_HEAD + size :]

    def write(self, body: bytes) -> None:
        """Put other bytes in place of those that are there."""
        turn = self._words[_TURN] + 1
        half = turn % 2
        self._halves[half][: len(body)] = body
        self._words[1 + half] = len(body)
        self._words[_TURN] = turn  # last: from here on it is what others read

    def read(self) -> bytes:
        """What was written last; nothing where nothing was."""
        while True:
            turn = self._words[_TURN]
            half = turn % 2
            body = bytes(self._halves[half][: self._words[1 + half]])
            if self._words[_TURN] == turn:  # else the writer may have come round to this half
                return body
