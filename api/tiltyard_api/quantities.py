"""Durations and byte quantities in the spelling of Kubernetes."""

import re
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field

from tiltyard_api.base import cel

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
QUANTITY_PATTERN = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|k|M|G|T)?$"

LONGEST = "8760h"
"""A year: what is meant to be longer is meant to be something else."""

_SECONDS = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}
BYTES = {
    "": 1,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
    "Ki": 2**10,
    "Mi": 2**20,
    "Gi": 2**30,
    "Ti": 2**40,
}
"""Factors of byte quantities, by their suffixes."""


def seconds(duration: str) -> float:
    """Length of a duration in seconds.

    Raises:
        ValueError: the text is not a duration; the message shows how one looks.

    """
    if not re.fullmatch(DURATION_PATTERN, duration):
        raise ValueError(f"{duration!r} is not a duration; write for example 50ms, 10s or 1h30m")
    parts = re.findall(r"([0-9.]+)(ms|s|m|h)", duration)
    return float(sum(Decimal(number) * _SECONDS[unit] for number, unit in parts))


def quantity_bytes(quantity: str) -> int:
    """Number of bytes that a quantity says.

    Raises:
        ValueError: the text is not a quantity; the message shows how one looks.

    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?", quantity)
    if not match:
        raise ValueError(f"{quantity!r} is not a quantity; write for example 512Mi or 1Gi")
    return int(Decimal(match[1]) * BYTES[match[2] or ""])


def _duration(text: str) -> str:
    if not 0 < seconds(text) <= seconds(LONGEST):
        raise ValueError(f"must be more than 0s and at most {LONGEST}; it is {text!r}")
    return text


def _quantity(text: str) -> str:
    if not quantity_bytes(text):
        raise ValueError(f"must be more than 0; it is {text!r}")
    return text


Duration = Annotated[
    str,
    Field(
        pattern=DURATION_PATTERN,
        max_length=16,
        json_schema_extra=cel(
            (
                f"duration(self) > duration('0s') && duration(self) <= duration('{LONGEST}')",
                f"must be more than 0s and at most {LONGEST}",
            )
        ),
    ),
    AfterValidator(_duration),
]
"""A span of time such as `50ms`, `10s` or `1h30m`."""

Quantity = Annotated[
    str,
    Field(
        pattern=QUANTITY_PATTERN,
        max_length=16,
        json_schema_extra=cel(
            ("quantity(self).isGreaterThan(quantity('0'))", "must be more than 0")
        ),
    ),
    AfterValidator(_quantity),
]
"""A number of bytes such as `512Mi` or `1Gi`."""
