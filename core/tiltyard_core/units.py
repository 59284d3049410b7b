"""Sets of units: how they are written, and which of too many are kept."""

import base64
from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from tiltyard_api.evidence import WORD

_ALL = 2**64 - 1


def packed(draws: Iterable[int]) -> str:
    """Write a set of draws."""
    raw = b"".join(draw.to_bytes(WORD, "big") for draw in sorted(set(draws)))
    return base64.b64encode(raw).decode()


def unpacked(text: str) -> frozenset[int]:
    """Read a set of draws.

    Raises:
        ValueError: the text is no such set.

    """
    raw = base64.b64decode(text, validate=True)
    if len(raw) % WORD:
        raise ValueError(f"{len(raw)} bytes are no whole number of draws")
    return frozenset(int.from_bytes(raw[at : at + WORD], "big") for at in range(0, len(raw), WORD))


def mixed(draw: int) -> int:
    """Another number below 2^64 for each draw, that looks drawn anew.

    A draw decides the variant by its size; what is sampled must not depend on the variant, not
    even where draws are round numbers. This is the finalizer of SplitMix64.
    """
    value = (draw + 0x9E3779B97F4A7C15) & _ALL
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _ALL
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _ALL
    return value ^ (value >> 31)


def sampled(draw: int, level: int) -> bool:
    """Whether a draw is in the sample of a level, which holds one draw in 2^level."""
    return mixed(draw) >> (64 - level) == 0


def thinned(draws: AbstractSet[int], level: int) -> frozenset[int]:
    """Keep of a sample what is in that of a higher level too."""
    return frozenset(draw for draw in draws if sampled(draw, level))
