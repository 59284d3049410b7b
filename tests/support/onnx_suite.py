"""The models that ship as test data in the onnx package: their rows opened, and run bare."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from tiltyard_engine.columns import Array

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
LARGEST = 50_000
"""Numbers in a row: two of the models take more, and seconds."""

REQUESTS = (1, 3, 2)
"""Rows of the requests that are sent in one turn."""

Pairs = list[tuple[dict[str, Array], dict[str, Array]]]
"""Inputs and outputs of each request."""


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
    """Give every model whose rows can be opened, by name."""
    for file in sorted(DATA.glob("*/*/model.onnx")):
        model = onnx.load(file)
        if open_rows(model.graph):
            yield file.parent.name, model.SerializeToString()


def made(node: Any, rows: int, seed: int) -> Array:
    """Make rows of an input; raises where a length is open besides the rows."""
    random = np.random.default_rng(seed)
    shape = [rows, *map(int, node.shape[1:])]
    if node.type == "tensor(bool)":
        return random.integers(0, 2, shape).astype(bool)
    if node.type.startswith(("tensor(int", "tensor(uint")):
        return random.integers(0, 3, shape).astype(node.type[7:-1])
    kinds = {"tensor(float16)": "float16", "tensor(float)": "float32", "tensor(double)": "float64"}
    return random.standard_normal(shape).astype(kinds[node.type])


def bare(data: bytes) -> Pairs | None:
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
