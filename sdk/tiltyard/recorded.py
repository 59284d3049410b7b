"""What a pipeline was asked and answered, as tables and as files."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.frames import Table
from tiltyard.places import Place

NEWEST = 100
"""Rows, where neither limit nor range is given."""

FILE_ROWS = 100_000
"""Rows of one exported file."""


class Records:
    """Records of a pipeline; see docs/records.md for what is kept and what can be lost.

    Args:
        place: where the pipeline is.
        name: its name.

    """

    def __init__(self, place: Place, name: str) -> None:
        self._place = place
        self._name = name

    def logs(  # noqa: PLR0913 - each is a filter of its own
        self,
        limit: int | None = None,
        start_datetime: datetime | None = None,
        end_datetime: datetime | None = None,
        *,
        valid: bool | None = None,
        variant: str | None = None,
        inference_id: str | None = None,
        anomaly: str | None = None,
        dataset: Sequence[str] = ("*",),
        dataset_exclude: Sequence[str] = ("metadata",),
        arrow: bool = False,
    ) -> Table:
        """Give records: newest first, or, of a whole range of time, oldest first.

        Args:
            limit: most rows; 100 where there is no range.
            start_datetime: from this moment on; with a time zone.
            end_datetime: before this moment.
            valid: True: what was answered; False: what failed.
            variant: what this model served: `MODEL` or `STEP=MODEL`.
            inference_id: the rows of this id.
            anomaly: what this validation objected to; `*`: any of them.
            dataset: columns and groups, as for `infer`.
            dataset_exclude: what is left out.
            arrow: an Arrow table in the place of a pandas DataFrame.

        Raises:
            Failure: there are no records, or they cannot be read.

        """
        from tiltyard.records import read  # noqa: PLC0415 - pyarrow is optional

        ranged = start_datetime is not None and end_datetime is not None
        table = read(
            self._place.records(self._name),
            self._name,
            since=start_datetime,
            until=end_datetime,
            variant=variant,
            inference_id=inference_id,
            anomaly=anomaly,
            valid=valid,
            limit=limit if limit is not None or ranged else NEWEST,
            dataset=tuple(dataset),
            dataset_exclude=tuple(dataset_exclude),
        )
        if not ranged:
            table = table.take(list(range(len(table) - 1, -1, -1)))
        return table if arrow else table.to_pandas()

    def export_logs(
        self,
        directory: Path | str = "logs",
        file_prefix: str | None = None,
        *,
        limit: int | None = None,
        start_datetime: datetime | None = None,
        end_datetime: datetime | None = None,
        arrow: bool = False,
    ) -> list[Path]:
        """Write records into files: JSON, a row a line, or Arrow.

        Args:
            directory: where they go; it is made where there is none.
            file_prefix: start of their names; the pipeline's name where none is given.
            limit: see `logs`, as for the others.
            start_datetime: from this moment on.
            end_datetime: before this moment.
            arrow: Arrow files.

        Returns:
            The files that were written.

        Raises:
            Failure: there are no records, or they cannot be written.

        """
        table = self.logs(limit, start_datetime, end_datetime, arrow=True)
        folder, prefix = Path(directory), file_prefix or self._name
        files = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for number, first in enumerate(range(0, max(len(table), 1), FILE_ROWS), 1):
                file = folder / f"{prefix}-{number}.{'arrow' if arrow else 'json'}"
                (_write_arrow if arrow else _write_json)(file, table.slice(first, FILE_ROWS))
                files.append(file)
        except OSError as error:
            raise Failure(f"{folder}: cannot be written: {error.strerror}") from error
        return files


def _write_json(file: Path, table: Table) -> None:
    with file.open("w", encoding="utf-8") as lines:
        for row in table.to_pylist():
            lines.write(json.dumps(row, default=_text) + "\n")


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _write_arrow(file: Path, table: Table) -> None:
    import pyarrow as pa  # noqa: PLC0415 - it made the table

    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
