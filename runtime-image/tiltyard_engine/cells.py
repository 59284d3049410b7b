"""Texts in the counter file: written whole by one process, read whole or not at all by others."""

from typing import Final

from tiltyard_engine.counters import WORD, Block, Series

_LENGTH: Final = 1
"""Words in front of a text: how many bytes it has."""


def cell_series(metric: str, *labels: str, room: int) -> Series:
    """Numbers that a text of at most `room` bytes takes."""
    return Series(metric, labels, size=_LENGTH + -(-room // WORD))


class Cell:
    """A place for one text; empty at first."""

    def __init__(self, block: Block, series: Series) -> None:
        start = block.place(series)
        self._words = block.words[start : start + series.words]
        self._bytes = self._words.cast("B")[_LENGTH * WORD :]

    def read(self) -> bytes:
        """Give the text; none while it is being replaced."""
        length = self._words[0]
        text = bytes(self._bytes[:length])
        return text if self._words[0] == length else b""

    def write(self, text: bytes) -> None:
        """Replace the text. A process that dies meanwhile leaves none."""
        self._words[0] = 0
        self._bytes[: len(text)] = text
        self._words[0] = len(text)
