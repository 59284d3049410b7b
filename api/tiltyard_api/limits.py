"""Limits of the data port: one table for the flags of the engine and of the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tiltyard_api.quantities import quantity_bytes, seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """One setting, given as `--NAME VALUE`."""

    read: Callable[[str], float]
    """Number of bytes, seconds or things; a ValueError says how the value is written."""

    default: str


def _between(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number between {low} and {high}")
        return int(text)

    return whole


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "max-body": Limit(quantity_bytes, "16Mi"),
        "max-rows": Limit(_between(1, 2**31), "65536"),
        "max-header-bytes": Limit(quantity_bytes, "32Ki"),
        "header-timeout": Limit(seconds, "5s"),
        "body-timeout": Limit(seconds, "30s"),
        "keep-alive": Limit(seconds, "75s"),
        "max-depth": Limit(_between(4, 1000), "16"),
        "max-in-flight": Limit(_between(1, 10**6), "1024"),
        "max-connections": Limit(_between(1, 10**6), "10000"),
        "validation-budget": Limit(seconds, "1s"),
        "grace": Limit(seconds, "30s"),
        "drain-delay": Limit(seconds, "1s"),
        "feedback-age": Limit(seconds, "720h"),
    }
)
"""What bounds a client, and how an engine ends."""
