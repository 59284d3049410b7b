"""Requests to a pipeline: tables in, tables out."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tiltyard.failure import Failure
from tiltyard.frames import Table
from tiltyard.inference import Asking, query, read_file, table_form
from tiltyard.places import Place, Tell
from tiltyard.transport import refusal

INFER_SECONDS = 15.0
SEPARATOR = "."
ACCEPTED = 202

CONNECTIONS = 16
"""Kept open: threads of the caller may ask at once."""


class Calls:
    """What can be asked of a pipeline that is deployed.

    Args:
        place: where it is.
        name: its name.
        tell: says how far long work is.

    """

    def __init__(self, place: Place, name: str, tell: Tell) -> None:
        self._place = place
        self._name = name
        self._tell = tell
        self._kept: Asking | None = None

    def infer(
        self,
        tensor: Table,
        timeout: float = INFER_SECONDS,
        dataset: Sequence[str] = ("*",),
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = SEPARATOR,
    ) -> Table:
        """Ask, and give the answer as a table of the same kind.

        Args:
            tensor: a DataFrame of pandas or polars, an Arrow table; or a list of records or a dict
                of columns, for which there is one `InferenceResult`.
            timeout: seconds to wait at most.
            dataset: what is answered: `time`, `in`, `out`, `out_MODEL`, `anomaly`, `metadata`, or
                columns such as `out.price`.
            dataset_exclude: what is left out; `metadata` where nothing is said and nobody asks it.
            dataset_separator: between the parts of a column's name; None: nested.

        Raises:
            InferenceError: the engine refused it, or failed.
            Failure: nothing answers.

        """
        form = table_form(tensor)
        if form is None:
            return self._engine().records(tensor, timeout)
        parameters = _parameters(dataset, dataset_exclude, dataset_separator)
        return self._engine().table(tensor, form, parameters, timeout)

    def infer_from_file(
        self,
        filename: Path | str,
        data_format: str | None = None,
        timeout: float = INFER_SECONDS,
        dataset: Sequence[str] = ("*",),
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = SEPARATOR,
    ) -> Table:
        """Ask with the rows of a file.

        Args:
            filename: a list of records as JSON, a dict of columns as JSON, or an Arrow file.
            data_format: `pandas-records`, `custom-json` or `arrow`; without one, as it looks.
            timeout: see `infer`, as for the others.
            dataset: what is answered.
            dataset_exclude: what is left out.
            dataset_separator: between the parts of a column's name.

        """
        rows = read_file(filename, data_format)
        return self.infer(rows, timeout, dataset, dataset_exclude, dataset_separator)

    async def async_infer(
        self,
        tensor: Table,
        timeout: float = INFER_SECONDS,  # noqa: ASYNC109 - of the request, as for `infer`
        dataset: Sequence[str] = ("*",),
        dataset_exclude: Sequence[str] | None = None,
        dataset_separator: str | None = SEPARATOR,
    ) -> Table:
        """Ask without holding up the event loop; see `infer`."""
        wished = dataset, dataset_exclude, dataset_separator
        return await asyncio.to_thread(self.infer, tensor, timeout, *wished)

    async def parallel_infer(
        self,
        tensor: Table,
        batch_size: int = 1,
        timeout: float = INFER_SECONDS,  # noqa: ASYNC109 - of the request, as for `infer`
        num_parallel: int = 4,
        dataset: Sequence[str] = ("*",),
        dataset_exclude: Sequence[str] | None = None,
    ) -> Table:
        """Ask in batches, several at a time, and give all answers in order.

        Rows of a batch that failed are blank but for a column `error`. How far it is, is told.

        Args:
            tensor: a DataFrame or an Arrow table.
            batch_size: rows of a request.
            timeout: seconds to wait for each request.
            num_parallel: requests at a time.
            dataset: see `infer`.
            dataset_exclude: see `infer`.

        """
        form = table_form(tensor)
        if form is None:
            raise Failure("give parallel_infer a DataFrame or an Arrow table: it cuts it by rows")
        parameters = _parameters(dataset, dataset_exclude, SEPARATOR)
        with self._place.engine(self._name, num_parallel) as engine:
            asking = Asking(engine, self._name, self._tell)
            return await asyncio.to_thread(
                asking.batches, tensor, form, parameters, timeout, batch_size, num_parallel
            )

    def feedback(
        self,
        inference_id: str | Sequence[Mapping[str, Any]],
        metric: str | None = None,
        value: object = None,
        *,
        row: int | None = None,
        item: object = None,
    ) -> dict[str, Any]:
        """Say what came of an answer, so that the experiment can count it.

        Args:
            inference_id: `metadata.inference_id` of the answer; or a list of what one call says,
                each with `inferenceId`, `metric`, `value` and, where they apply, `row` and `item`.
            metric: name of the experiment's metric.
            value: what came of it.
            row: which row of the request, from 0.
            item: which item of an interleaved list.

        Returns:
            For a list: how many were accepted, and which were refused and why.

        Raises:
            InferenceError: a single one was refused.

        """
        said: object = inference_id
        if isinstance(inference_id, str):
            one = {"inferenceId": inference_id, "metric": metric, "value": value}
            more = {"row": row, "item": item}
            said = one | {key: value for key, value in more.items() if value is not None}
        with self._place.engine(self._name, 1) as engine:
            answer = engine.post_json("/feedback", json.dumps(said).encode())
        if answer.status != ACCEPTED:
            raise refusal(answer)
        return dict(answer.json()) if answer.body else {}

    def _engine(self) -> Asking:
        if self._kept is None:
            engine = self._place.engine(self._name, CONNECTIONS)
            self._kept = Asking(engine, self._name, self._tell)
        return self._kept


def _parameters(
    dataset: Sequence[str], exclude: Sequence[str] | None, separator: str | None
) -> str:
    wished = (dataset,) if isinstance(dataset, str) else tuple(dataset)
    if exclude is None:
        asked = any(one.partition(".")[0] == "metadata" for one in wished)
        exclude = () if asked else ("metadata",)
    return query(wished, tuple(exclude), separator)
