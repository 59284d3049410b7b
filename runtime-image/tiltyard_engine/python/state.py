"""What a keeper tells the engine's processes of each Python model, in memory that they share."""

import mmap
import struct
import time
from enum import IntEnum

WORDS = 1000
"""Most bytes of the last words."""

_HEAD = struct.Struct("<qqH")


class Health(IntEnum):
    """How a model's workers are."""

    STARTING = 0
    """None can answer yet, or one will again in a moment: calls wait."""

    UP = 1
    DOWN = 2
    """They keep dying: calls are refused until the next one is tried."""


class State:
    """Written by one keeper, read by all; made before they are forked."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, mmap.PAGESIZE)

    def write(self, health: Health, deaths: int, words: str) -> None:
        """Tell how the workers are, how many have ended, and why the last did."""
        text = words.encode()[:WORDS]
        self._memory[_HEAD.size : _HEAD.size + len(text)] = text
        _HEAD.pack_into(self._memory, 0, health, deaths, len(text))

    @property
    def health(self) -> Health:
        """How the workers are."""
        return Health(_HEAD.unpack_from(self._memory)[0])

    def read(self) -> tuple[int, int]:
        """Health and deaths at once: what a call wants to know."""
        health, deaths, _ = _HEAD.unpack_from(self._memory)
        return health, deaths

    @property
    def deaths(self) -> int:
        """How many have ended."""
        return int(_HEAD.unpack_from(self._memory)[1])

    @property
    def words(self) -> str:
        """Why the last one ended."""
        length = _HEAD.unpack_from(self._memory)[2]
        return self._memory[_HEAD.size : _HEAD.size + length].decode(errors="replace")

    def words_after(self, deaths: int, patience: float) -> str | None:
        """Why the first one ended that did so after `deaths` others; None: none did in time."""
        deadline = time.monotonic() + patience
        while self.deaths == deaths:
            if time.monotonic() > deadline:
                return None
            time.sleep(0.002)
        return self.words
