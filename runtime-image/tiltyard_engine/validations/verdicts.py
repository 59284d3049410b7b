"""What a validation says of a row: one byte each, so that a column of verdicts is `bytes`."""

from collections.abc import Mapping, Sequence

import numpy as np

from tiltyard_core.cel.library import FAILED, FALSE, TRUE

FINE = FALSE
ANOMALY = TRUE
ERROR = FAILED
"""The expression has no truth for this row."""

LATE = 3
"""It was not judged in time."""

UNJUDGED = (ERROR, LATE)

Verdicts = Mapping[str, bytes]
"""Of each validation of a plan, by its name, for each row."""


def counts(verdicts: Verdicts, rows: int) -> Sequence[int]:
    """How many validations found an anomaly in each row."""
    if rows == 1:
        return (sum(column[0] == ANOMALY for column in verdicts.values()),)
    table = np.frombuffer(b"".join(verdicts.values()), np.uint8).reshape(-1, rows)
    found: list[int] = (table == ANOMALY).sum(axis=0).tolist()
    return found


def told(verdicts: Verdicts) -> str:
    """How many rows each validation objects to, those that object to none left out: `dear=2`."""
    numbers = [(name, column.count(ANOMALY)) for name, column in verdicts.items()]
    return ",".join(f"{name}={rows}" for name, rows in numbers if rows)
