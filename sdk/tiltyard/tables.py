"""Tables for people."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

LONGEST_VALUE = 48
"""Characters of one value; `-o json` shows all of them."""

FILE_WIDTH = 200
"""Width where standard output is no terminal that tells its own."""

Row = Mapping[str, Any]


def show(table: Table) -> None:
    """Print a table on standard output."""
    console().print(table)


def console() -> Console:
    """Standard output, as wide as it is."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else FILE_WIDTH)


def plain_table(*columns: str) -> Table:
    """Give an empty table; numbers stand to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, justify="left" if column == columns[0] else "right")
    return table


def percent(share: float | None) -> str:
    """Write a share; nothing where there is none."""
    return "" if share is None else f"{100 * share:.4g} %"


def answer_table(rows: Sequence[Row]) -> Table:
    """Rows of an answer: what came out, of challengers too, and which variants served."""
    columns = list(dict.fromkeys(column for row in rows for column in _outputs(row)))
    table = plain_table("row", *columns, "served by")
    for number, row in enumerate(rows):
        values = _outputs(row)
        cells = [shortened(values.get(column)) for column in columns]
        table.add_row(str(number), *(Text(cell) for cell in cells), Text(_served_by(row)))
    return table


def shortened(value: object) -> str:
    """Write a value as JSON, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _outputs(row: Row) -> dict[str, object]:
    """Outputs of a row by the names of their columns: `out.price`, `out_challenger.price`."""
    return {
        f"{group}.{name}": value
        for group, values in row.items()
        if group == "out" or group.startswith("out_")
        for name, value in values.items()
        if not name.startswith("_")
    }


def _served_by(row: Row) -> str:
    variants = row.get("metadata", {}).get("variants", {})
    return ", ".join(f"{step}={variant}" for step, variant in variants.items())
