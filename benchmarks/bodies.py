"""Make the request bodies: the same rows in each server's own dialect.

The load generator rotates over them, because a repeated row flatters trees: the processor learns
its branches and the model looks twice as fast as it is.

A file of bodies is a row of chunks, each behind its length in four bytes, the lowest first: the
header lines that every body is sent with, then the bodies. Lines would not do for binary forms.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from dialects import DIALECTS, Headers, Row
from models import DAY, FRAUD_COLUMNS, HOUSE_COLUMNS
from numpy.typing import NDArray

COLUMNS = {"fraud": FRAUD_COLUMNS, "house": HOUSE_COLUMNS}
COUNTS = {1: 512, 1000: 8}  # rows of a body -> how many different bodies

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True)
class Bodies:
    """What is sent in turn, and the headers that go with each."""

    headers: Headers
    bodies: list[bytes]

    def write(self, path: Path) -> None:
        """Write the file that the load generators read."""
        lines = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
        chunks = [lines.encode(), *self.bodies]
        path.write_bytes(b"".join(_LENGTH.pack(len(chunk)) + chunk for chunk in chunks))

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote."""
        content = path.read_bytes()
        chunks = []
        start = 0
        while start < len(content):
            (length,) = _LENGTH.unpack_from(content, start)
            start += _LENGTH.size + length
            chunks.append(content[start - length : start])
        lines, *bodies = chunks
        headers = dict(line.split(": ", 1) for line in lines.decode().splitlines())
        return cls(headers, bodies)


def body_file(folder: Path, kind: str, rows: int, dialect: str) -> Path:
    """Name the file of bodies of one kind of row ("fraud" or "house"), size and dialect."""
    return folder / f"{kind}-{rows}-{dialect}.bodies"


def make_bodies(folder: Path) -> None:
    """Write every file of bodies."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, columns in COLUMNS.items():
        for rows, count in COUNTS.items():
            rng = np.random.default_rng([5, rows])
            batches = [_rows(rng, kind, rows) for _ in range(count)]
            for name, dialect in DIALECTS.items():
                written = [dialect.write(columns, batch) for batch in batches]
                (headers,) = {tuple(headers.items()) for headers, _ in written}
                bodies = Bodies(dict(headers), [body for _, body in written])
                bodies.write(body_file(folder, kind, rows, name))


def matrix(columns: tuple[str, ...], records: bytes) -> NDArray[np.float32]:
    """Turn a body of records into the matrix that the model takes."""
    rows = json.loads(records)
    return np.array([[row[column] for column in columns] for row in rows], np.float32)


def _rows(rng: np.random.Generator, kind: str, count: int) -> list[Row]:
    """Draw rows that look like the table they stand for: fraud's Time and Amount are no scores."""
    values: list[Row] = np.round(rng.standard_normal((count, len(COLUMNS[kind]))), 6).tolist()
    if kind == "fraud":
        for row in values:
            row[0] = int(rng.integers(0, 2 * DAY))
            row[-1] = round(float(rng.lognormal(3, 1.5)), 2)
    return values
