"""Asks what is served: tables in, tables out."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tiltyard.failure import Failure
from tiltyard.frames import JSON, Form, Table, as_json, form_of
from tiltyard.results import InferenceResult, records_of
from tiltyard.transport import Answer, Transport, refusal

OK = 200
BUSY = 503
TOLD_EVERY = 5.0
"""Seconds between two words on how far many batches are."""

Tell = Callable[[str], None]


@lru_cache(maxsize=64)
def query(dataset: tuple[str, ...], exclude: tuple[str, ...], separator: str | None) -> str:
    """Parameters that choose what is answered."""
    wished = [("dataset[]", one) for one in dataset] + [
        ("dataset.exclude[]", one) for one in exclude
    ]
    return urlencode(wished + ([("dataset.separator", separator)] if separator else []))


class Asking:
    """Requests to one pipeline.

    Args:
        engine: where it is served.
        pipeline: its name.
        tell: says how far long work is.

    """

    def __init__(self, engine: Transport, pipeline: str, tell: Tell) -> None:
        self._engine = engine
        self._pipeline = pipeline
        self._path = f"/pipelines/{quote(pipeline, safe='')}"
        self._tell = tell

    def table(self, data: object, form: Form, parameters: str, seconds: float) -> Table:
        """Send a table and read the answer as one of its kind."""
        headers = {"Content-Type": form.content, "Accept": form.content}
        return form.read(
            self._post(f"{self._path}?{parameters}", form.write(data), headers, seconds)
        )

    def records(self, data: object, seconds: float) -> list[InferenceResult]:
        """Send a list of rows or a dict of columns."""
        headers = {"Content-Type": JSON}
        answer = self._post(self._path, as_json(records_of(data)), headers, seconds)
        return [InferenceResult(self._pipeline, answer.json())]

    def batches(
        self,
        data: object,
        form: Form,
        parameters: str,
        seconds: float,
        batch_size: int,
        num_parallel: int,
    ) -> Table:
        """Send a table in batches, several at a time, and join the answers in order.

        Rows of a batch that failed are blank but for a column `error`.
        """
        total = form.rows(data)
        starts = range(0, total, batch_size)
        told = self._progress(total)

        def one(first: int) -> Table:
            end = min(first + batch_size, total)
            try:
                return self.table(form.cut(data, first, end), form, parameters, seconds)
            except Failure as failure:
                return form.failed(end - first, str(failure))
            finally:
                told(end - first)

        with ThreadPoolExecutor(num_parallel) as threads:
            parts = list(threads.map(one, starts))
        return form.join(parts) if parts else data

    def _progress(self, total: int) -> Callable[[int], None]:
        done, last = 0, time.monotonic()

        def told(rows: int) -> None:
            nonlocal done, last
            done += rows
            if time.monotonic() - last > TOLD_EVERY:
                last = time.monotonic()
                self._tell(f"{self._pipeline}: {done} of {total} rows ({done / total:.0%})")

        return told

    def _post(self, path: str, body: bytes, headers: dict[str, str], seconds: float) -> Answer:
        """Send a request; an engine that has too much to do is asked again in a moment."""
        deadline = time.monotonic() + seconds
        while True:
            answer = self._engine.post(path, body, headers, seconds)
            if answer.status == OK:
                return answer
            wait = float(answer.headers.get("Retry-After") or 0.5)
            if answer.status != BUSY or time.monotonic() + wait > deadline:
                raise refusal(answer)
            time.sleep(wait)


def read_file(file: Path | str, data_format: str | None) -> object:
    """Read a file of rows: Arrow by its suffix, a list of records, or a dict of columns.

    Args:
        file: the file.
        data_format: `arrow`, `pandas-records` or `custom-json`; without one, as it looks.

    Raises:
        Failure: it cannot be read.

    """
    path = Path(file)
    if data_format == "arrow" or (data_format is None and path.suffix == ".arrow"):
        return _read_arrow(path)
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise Failure(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path}: not JSON: {error}: give a list of records") from error
    if data_format == "custom-json" or isinstance(found, dict):
        return found
    return _frame(found)


def _frame(rows: Sequence[Any]) -> object:
    """Give rows as a DataFrame, where there is a library for one."""
    try:
        import pandas as pd  # noqa: PLC0415 - optional
    except ModuleNotFoundError:
        return rows
    return pd.DataFrame(rows)


def _read_arrow(path: Path) -> object:
    try:
        import pyarrow as pa  # noqa: PLC0415 - optional
    except ModuleNotFoundError as error:
        raise Failure(
            f"pyarrow, which reads {path}, is missing: pip install 'tiltyard[arrow]'"
        ) from error
    try:
        with pa.OSFile(str(path)) as source:
            return pa.ipc.open_file(source).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise Failure(f"{path}: cannot be read as an Arrow file: {error}") from error


def table_form(data: object) -> Form | None:
    """How a table is written and read; None for lists and dicts.

    Raises:
        Failure: it is nothing that holds rows.

    """
    form = form_of(data)
    if form is None and not isinstance(data, list | dict):
        raise Failure(
            f"a {type(data).__name__} holds no rows: give a DataFrame of pandas or polars, an"
            " Arrow table, a list of records or a dict of columns"
        )
    return form
