"""Units in the sums of an experiment: which bucket, and about how many there were.

The number of units is told by a HyperLogLog (Flajolet, Fusy, Gandouet and Meunier, 2007): a byte a
register, the larger of two where engines are united, right within 10 % or so.
"""

from collections.abc import Sequence
from math import log

from tiltyard_api.experiment import BUCKETS
from tiltyard_core.units import mixed

_BITS = BUCKETS.bit_length() - 1
_LEFT = 64 - _BITS
_ALPHA = 0.7213 / (1 + 1.079 / BUCKETS)


def register(draw: int) -> tuple[int, int]:
    """Bucket of a unit, which is its register too, and the rank that the register has at least.

    Args:
        draw: the unit's; the bucket does not follow from its size, by which variants are drawn.

    """
    found = mixed(draw)
    return found % BUCKETS, _LEFT - (found >> _BITS).bit_length() + 1


def distinct(registers: Sequence[int]) -> float:
    """Estimate how many units there were."""
    empty = registers.count(0)
    found = _ALPHA * BUCKETS * BUCKETS / sum(2.0**-one for one in registers)
    if empty and found <= 2.5 * BUCKETS:
        return BUCKETS * log(BUCKETS / empty)
    return found
