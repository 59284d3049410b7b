"""Make the request bodies: the same rows in each server's own dialect, one JSON body a line.

The load generator rotates over them, because a repeated row flatters trees: the processor learns
its branches and the model looks twice as fast as it is.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from models import DAY, FRAUD_COLUMNS, HOUSE_COLUMNS
from numpy.typing import NDArray

COLUMNS = {"fraud": FRAUD_COLUMNS, "house": HOUSE_COLUMNS}
COUNTS = {1: 512, 1000: 8}  # rows of a body -> how many different bodies

Row = list[float | int]


@dataclass(frozen=True)
class Dialect:
    """How a server wants rows and where its answer holds the scores."""

    write: Callable[[tuple[str, ...], list[Row]], object]
    read: Callable[[Any], list[Any]]


DIALECTS = {
    "records": Dialect(
        write=lambda columns, rows: [dict(zip(columns, row, strict=True)) for row in rows],
        read=lambda answer: [row["out"]["y"] for row in answer],
    ),
    "v2": Dialect(
        write=lambda columns, rows: {
            "inputs": [
                {
                    "name": "x",
                    "shape": [len(rows), len(columns)],
                    "datatype": "FP32",
                    "data": [value for row in rows for value in row],
                }
            ]
        },
        read=lambda answer: answer["outputs"][0]["data"],
    ),
    "matrix": Dialect(
        write=lambda _, rows: {"x": rows},
        read=lambda answer: answer["y"],
    ),
}


def body_file(folder: Path, kind: str, rows: int, dialect: str) -> Path:
    """Name the file of bodies of one kind of row ("fraud" or "house"), size and dialect."""
    return folder / f"{kind}-{rows}-{dialect}.jsonl"


def make_bodies(folder: Path) -> None:
    """Write every file of bodies."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, columns in COLUMNS.items():
        for rows, count in COUNTS.items():
            rng = np.random.default_rng([5, rows])
            batches = [_rows(rng, kind, rows) for _ in range(count)]
            for name, dialect in DIALECTS.items():
                lines = (orjson.dumps(dialect.write(columns, batch)) for batch in batches)
                body_file(folder, kind, rows, name).write_bytes(b"\n".join(lines) + b"\n")


def read_scores(dialect: str, answer: bytes) -> NDArray[np.float64]:
    """Take the scores out of an answer, to check that every server did the same work."""
    return np.asarray(DIALECTS[dialect].read(json.loads(answer)), np.float64).ravel()


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
