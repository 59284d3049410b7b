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
    what: str
    """What it bounds, for the help of both command lines."""

    @property
    def usual(self) -> float:
        """The default as it is counted."""
        return self.read(self.default)


def _some(read: Callable[[str], float]) -> Callable[[str], float]:
    """Read what must not be nothing: an engine that allows nothing answers nobody."""

    def some(text: str) -> float:
        value = read(text)
        if not value:
            raise ValueError(f"{text!r} allows nothing: write more than 0")
        return value

    return some


def _between(low: int, high: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise ValueError(f"{text!r} is not a whole number between {low} and {high}")
        return int(text)

    return whole


LIMITS: Mapping[str, Limit] = MappingProxyType(
    {
        "max-body": Limit(_some(quantity_bytes), "16Mi", "Largest body, as sent and as unpacked."),
        "max-rows": Limit(_between(1, 2**31), "65536", "Most rows of a request."),
        "max-header-bytes": Limit(
            _some(quantity_bytes), "32Ki", "Largest request line and headers together."
        ),
        "header-timeout": Limit(_some(seconds), "5s", "Longest that the headers may take."),
        "body-timeout": Limit(_some(seconds), "30s", "Longest that the body may take."),
        "keep-alive": Limit(_some(seconds), "75s", "Longest that a connection may idle."),
        "max-depth": Limit(_between(4, 1000), "16", "Deepest nesting of the JSON."),
        "max-in-flight": Limit(
            _between(1, 10**6), "1024", "Most requests that a worker has under way."
        ),
        "max-connections": Limit(_between(1, 10**6), "10000", "Most open connections of a worker."),
        "validation-budget": Limit(seconds, "1s", "Longest that an answer waits for validations."),
        "grace": Limit(seconds, "30s", "Longest that accepted requests may take at the end."),
        "drain-delay": Limit(seconds, "1s", "Accepts for so long after SIGTERM."),
        "feedback-age": Limit(_some(seconds), "720h", "Oldest ids that feedback may be about."),
    }
)
"""What bounds a client, and how an engine ends."""
