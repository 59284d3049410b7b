"""Answers to lists and dicts: one object a request, by the names that notebooks know."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]

Data = Any
"""Whatever JSON holds."""

Array = Any
"""An array of numpy, which is the caller's."""

PREFIX = "out_"
"""Before the name of a challenger."""


def records_of(data: Data) -> list[dict[str, Any]]:
    """Give rows: a list has them, a dict has a list for each column."""
    if isinstance(data, Mapping):
        columns = {name: list(values) for name, values in data.items()}
        lengths = {len(values) for values in columns.values()}
        rows = min(lengths, default=0)
        return [{name: values[row] for name, values in columns.items()} for row in range(rows)]
    return [dict(row) for row in data]


class InferenceResult:
    """What came of one request.

    Args:
        pipeline: the pipeline's name.
        rows: its answer, nested.

    """

    def __init__(self, pipeline: str, rows: Sequence[Row]) -> None:
        self.raw = _raw(pipeline, rows)

    def __repr__(self) -> str:
        name, version = self.model()
        return f"InferenceResult(model={name!r}, version={version!r})"

    def model(self) -> tuple[str, str]:
        """Name and version of the model that answered."""
        return self.raw["model_name"], self.raw["model_version"]

    def data(self) -> list[Any]:
        """Outputs in their order, each as an array of numpy with a row for each row."""
        return [_array(output) for output in self.raw["outputs"]]

    def input_data(self) -> dict[str, list[Any]]:
        """Give what was asked, by column."""
        return dict(self.raw["original_data"])

    def shadow_data(self) -> dict[str, list[Any]]:
        """Outputs of challengers, by their names."""
        found = self.raw["shadow_data"]
        return {name: [_array(output) for output in outputs] for name, outputs in found.items()}

    def time_elapsed(self) -> timedelta:
        """How long the engine took."""
        return timedelta(microseconds=sum(self.raw["elapsed"]) / 1000)

    def timestamp(self) -> datetime:
        """When it answered."""
        return datetime.fromtimestamp(self.raw["time"] / 1000, UTC)


def _raw(pipeline: str, rows: Sequence[Row]) -> dict[str, Any]:
    first = rows[0]
    name, version = _served_by(first)
    challengers = [group for group in first if group.startswith(PREFIX)]
    return {
        "model_name": name,
        "model_version": version,
        "pipeline_name": pipeline,
        "time": first["time"],
        "elapsed": first["metadata"]["elapsed"],
        "check_failures": [],
        "original_data": {key: [row["in"][key] for row in rows] for key in first["in"]},
        "outputs": _outputs([row["out"] for row in rows]),
        "shadow_data": {
            group.removeprefix(PREFIX): _outputs([row[group] for row in rows])
            for group in challengers
        },
    }


def _served_by(row: Row) -> tuple[str, str]:
    split = row["out"].get("_model_split")
    if split:
        found = json.loads(split[0])
        return found["name"], found["version"]
    last = json.loads(row["metadata"]["last_model"])
    return last["model_name"], row["metadata"]["pipeline_version"]


def _outputs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    names = [name for name in rows[0] if not name.startswith("_")]
    return [_tagged([row[name] for row in rows]) for name in names]


def _tagged(values: list[Any]) -> dict[str, Any]:
    """One output of all rows: type, flat values, dimensions."""
    dimensions, flat = [len(values)], values
    while flat and isinstance(flat[0], list) and len({len(one) for one in flat}) == 1:
        dimensions.append(len(flat[0]))
        flat = [value for one in flat for value in one]
    first = next((value for value in flat if value is not None), 0.0)
    tags = {bool: "Bool", int: "Int64", float: "Float", str: "String"}
    return {tags.get(type(first), "Json"): {"data": flat, "dim": dimensions, "v": 1}}


def _array(output: Mapping[str, Any]) -> Array:
    import numpy as np  # noqa: PLC0415 - for those who ask for arrays

    ((tag, found),) = output.items()
    if tag == "Json":
        return np.array(found["data"], object)
    return np.array(found["data"]).reshape(found["dim"])
