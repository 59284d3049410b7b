"""Sample rows that a user gives: records as JSON or CSV."""

import csv
import io
import json
from pathlib import Path

from tiltyard.failure import Failure

MOST = 10_000
"""Rows: more would prove no more, and take long."""

Record = dict[str, object]


def read(path: Path) -> list[Record]:
    """Read records from a file.

    Raises:
        Failure: it cannot be read, or holds none.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{path}: is no text: {error}: save it as UTF-8") from error
    rows = _table(text) if path.suffix.lower() == ".csv" else _records(path, text)
    if not 0 < len(rows) <= MOST:
        raise Failure(f"{path}: has {len(rows)} rows: give 1 to {MOST}")
    return rows


def _records(path: Path, text: str) -> list[Record]:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path}: not JSON: {error}: give a list of records, or a .csv") from error
    rows = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Failure(f"{path}: must be a list of records, each an object by column")
    return rows


def _table(text: str) -> list[Record]:
    return [
        {name: _value(value) for name, value in row.items() if name is not None}
        for row in csv.DictReader(io.StringIO(text))
    ]


def _value(text: str | None) -> object:
    """Read a cell: a number where it is one, nothing where it is empty."""
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
