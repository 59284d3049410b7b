"""The models that ship as test data in the onnx package, served and run bare."""

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from planes import Answer, opened
from tiltyard_api.faults import InvalidManifest
from tiltyard_engine.artifacts import ArtifactError
from tiltyard_engine.columns import Array

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
LARGEST = 50_000
"""Numbers in a row: two of the models take more, and seconds."""

AT_LEAST = 80
"""Models that must be served and compared, of some 140: fewer means that we refuse more."""

REQUESTS = (1, 3, 2)
"""Rows of the requests that are sent in one turn."""


def open_rows(graph: onnx.GraphProto) -> bool:
    """Open the first dimension of every input and output; False where there is none."""
    constants = {tensor.name for tensor in graph.initializer}
    for tensor in (*graph.input, *graph.output):
        if tensor.name not in constants:
            dims = tensor.type.tensor_type.shape.dim
            if not dims:
                return False
            dims[0].Clear()
            if math.prod(one.dim_value for one in dims[1:]) > LARGEST:
                return False
    return bool(graph.input)


def candidates() -> Iterator[tuple[str, bytes]]:
    for file in sorted(DATA.glob("*/*/model.onnx")):
        model = onnx.load(file)
        if open_rows(model.graph):
            yield file.parent.name, model.SerializeToString()


def made(node: Any, rows: int, seed: int) -> Array:  # noqa: ANN401 - onnxruntime is untyped
    """Make rows of an input; raises where a length is open besides the rows."""
    random = np.random.default_rng(seed)
    shape = [rows, *map(int, node.shape[1:])]
    if node.type == "tensor(bool)":
        return random.integers(0, 2, shape).astype(bool)
    if node.type.startswith(("tensor(int", "tensor(uint")):
        return random.integers(0, 3, shape).astype(node.type[7:-1])
    kinds = {"tensor(float16)": "float16", "tensor(float)": "float32", "tensor(double)": "float64"}
    return random.standard_normal(shape).astype(kinds[node.type])


def bare(data: bytes) -> list[tuple[dict[str, Array], dict[str, Array]]] | None:
    """What onnxruntime gives for each request; None where rows do not come out as rows."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        pairs = []
        for seed, rows in enumerate(REQUESTS):
            feeds = {node.name: made(node, rows, seed) for node in session.get_inputs()}
            outputs = dict(zip(names, session.run(names, feeds), strict=True))
            if any(array.shape[:1] != (rows,) for array in outputs.values()):
                return None
            pairs.append((feeds, outputs))
    except Exception:  # noqa: BLE001 - onnxruntime has a class for every failure
        return None
    return pairs


def records(feeds: dict[str, Array]) -> list[dict[str, Any]]:
    rows = len(next(iter(feeds.values())))
    return [{name: array[row].tolist() for name, array in feeds.items()} for row in range(rows)]


def same_bits(answer: Answer, outputs: dict[str, Array]) -> bool:
    """Whether an answer holds the very bits, and null exactly where there is no number."""

    def number(value: Any) -> Any:  # noqa: ANN401 - nested lists of numbers
        if isinstance(value, list):
            return [number(one) for one in value]
        return math.nan if value is None else value

    for name, array in outputs.items():
        got = np.array([number(row["out"][name]) for row in answer.json], array.dtype)
        wanted = (
            np.where(np.isfinite(array), array, array.dtype.type(math.nan))
            if (array.dtype.kind == "f")
            else array
        )
        if got.reshape(wanted.shape).tobytes() != wanted.astype(array.dtype).tobytes():
            return False
    return True


def test_served_models_give_what_onnxruntime_gives_bit_for_bit(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    served, others = 0, []
    for index, (name, data) in enumerate(candidates()):
        pairs = bare(data)
        if pairs is None:
            continue
        folder = tmp_path / str(index)
        folder.mkdir()
        try:
            with opened(folder, {"a": data}) as plane:
                answers = plane.ask_all([json.dumps(records(f)).encode() for f, _ in pairs])
        except (ArtifactError, InvalidManifest):
            continue
        served += 1
        for answer, (_, outputs) in zip(answers, pairs, strict=True):
            if answer.status != 200 or not same_bits(answer, outputs):
                others.append((name, answer.body[:200]))
    record_property("models", served)
    assert others == []
    assert served >= AT_LEAST
