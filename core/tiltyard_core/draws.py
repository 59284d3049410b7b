"""Which variant a request goes to: exact, keyed draws that any client can predict.

A draw is an integer n in [0, 2^64). With weights w1 ... wk, variant i is the first with
n * (w1 + ... + wk) < 2^64 * (w1 + ... + wi). Weights count as the decimal numbers that they are
written as, so that no rounding moves a boundary. Vectors are published in docs/draws-vectors.json.
"""

import hashlib
import struct
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction

DRAW_SPACE = 2**64
"""Draws are uniform integers below this."""

_FIRST = struct.Struct(">Q")
"""The first 8 bytes, big endian."""


def thresholds(weights: Sequence[float]) -> tuple[int, ...]:
    """Upper end of each variant's interval: variant i owns the draws below `thresholds[i]`.

    Args:
        weights: relative, 0 or more, their sum above 0.

    Raises:
        ValueError: all weights are 0.

    """
    exact = [Fraction(str(weight)) for weight in weights]
    total = sum(exact)
    if total == 0:
        raise ValueError("all weights are 0: nothing could be drawn")
    ends, end = [], Fraction(0)
    for weight in exact:
        end += weight
        ends.append(-(-DRAW_SPACE * end // total))  # the ceiling: n < x exactly if n < ceil(x)
    return tuple(ends)


def canary_ends(weight: float) -> tuple[int, int]:
    """Upper ends of the candidate's and of the stable model's interval.

    The candidate's comes first: whoever has drawn the candidate keeps it while its weight grows.

    Args:
        weight: percent that the candidate gets, 0 to 100; it counts as the decimal that it is
            written as.

    """
    return -(-DRAW_SPACE * Fraction(str(weight)) // 100), DRAW_SPACE


def pick(ends: Sequence[int], draw: int) -> int:
    """Index of the variant that owns a draw, given the variants' `thresholds`."""
    return bisect_right(ends, draw)


def keyed_draw(salt: str, key: str) -> int:
    """Draw of a key: the first 8 bytes of SHA-256(salt, 0x00, key), big endian.

    A header that is not UTF-8 comes with its bytes escaped, and is hashed as those bytes.
    """
    text = f"{salt}\0{key}".encode(errors="surrogateescape")
    draw: int = _FIRST.unpack_from(hashlib.sha256(text).digest())[0]
    return draw


def value_draw(salt: str, value: object) -> int:
    """Draw of a hash key's value as JSON gave it.

    A text is hashed as it is, an integer as its decimal digits. A float in [0, 1) *is* the draw;
    a whole float of 1 or more is the integer it equals, since pandas writes integers so beside a
    gap.

    Raises:
        ValueError: another float: it is out of range.
        TypeError: neither text nor number.

    """
    if isinstance(value, str):
        return keyed_draw(salt, value)
    if isinstance(value, int) and not isinstance(value, bool):
        return keyed_draw(salt, str(value))
    if not isinstance(value, float):
        raise TypeError(f"a hash key is a text or a number, not {type(value).__name__}")
    if 0 <= value < 1:
        return int(value * DRAW_SPACE)
    if value < 1 or not value.is_integer():
        raise ValueError(f"{value!r} is neither in [0, 1) nor whole")
    return keyed_draw(salt, str(int(value)))
