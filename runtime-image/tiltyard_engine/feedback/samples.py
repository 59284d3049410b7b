"""Samples of units in the file, each with a number: all units, until there are too many.

Then every second one is left out, by its draw alone, so that every engine leaves out the same.
"""

from collections.abc import Iterator
from typing import Final

from tiltyard_api.experiment import MOST_WINS
from tiltyard_core.units import mixed, sampled
from tiltyard_engine.feedback.book import Change

MOST: Final = MOST_WINS
LEVEL, UNITS, PLACES = 0, 1, 2
SLOTS: Final = 2 * MOST
SAMPLE: Final = PLACES + 2 * SLOTS
"""Words of a sample: its level, how many units, then places with a draw and its number."""


def number_of(change: Change, first: int, draw: int) -> int | None:
    """Give the number of a unit; None: it is not there.

    Args:
        change: what is being changed.
        first: first word of the sample.
        draw: the unit's.

    """
    at = _place(change, first, draw)
    return change.read(at + 1) if change.read(at) else None


def put(change: Change, first: int, draw: int, number: int) -> None:
    """Set the number of a unit, if it is one of the sample."""
    level = change.read(first + LEVEL)
    if level and not sampled(draw, level):
        return
    at = _place(change, first, draw)
    if not change.read(at):
        change.write(at, draw or 1)  # the draw 0 is as rare as any other
        change.add(first + UNITS, 1)
    change.write(at + 1, number)
    if change.read(first + UNITS) > MOST:
        _thin(change, first, level + 1)


def units(words: memoryview) -> list[tuple[int, int]]:
    """Every unit with its number, by draw.

    Args:
        words: of the sample, copied.

    """
    numbers = words[PLACES:].tolist()
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return sorted(pair for pair in pairs if pair[0])


def _place(change: Change, first: int, draw: int) -> int:
    """Where a unit is, or would be."""
    slot = mixed(draw)
    while True:
        at = first + PLACES + 2 * (slot % SLOTS)
        if change.read(at) in (0, draw or 1):
            return at
        slot += 1


def _there(change: Change, first: int) -> Iterator[tuple[int, int]]:
    for at in range(first + PLACES, first + SAMPLE, 2):
        draw = change.read(at)
        if draw:
            yield draw, change.read(at + 1)


def _thin(change: Change, first: int, level: int) -> None:
    """Keep the units of a higher level, as many as there is room for."""
    kept = {draw: number for draw, number in _there(change, first) if sampled(draw, level)}
    while len(kept) > MOST:
        level += 1
        kept = {draw: number for draw, number in kept.items() if sampled(draw, level)}
    change.write(first + LEVEL, level)
    change.write(first + UNITS, len(kept))
    for at in range(first + PLACES, first + SAMPLE):
        change.write(at, 0)
    for draw, number in kept.items():
        at = _place(change, first, draw)
        change.write(at, draw)
        change.write(at + 1, number)
