"""What graphs of tree converters have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx.helper
from skl2onnx.common import _container

THRESHOLDS = "nodes_values"


def free_rows(graph: Any) -> bytes:  # noqa: ANN401 - a message of protobuf
    """Bytes of a graph whose first dimensions are named: some converters write a fixed 1."""
    for value in (*graph.graph.input, *graph.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        if dimensions:
            dimensions[0].dim_param = "rows"
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


@contextmanager
def exact_attributes() -> Iterator[None]:
    """Mend what converters hand to ONNX.

    Numpy's own integers and booleans are refused there. Thresholds of double precision would be
    rounded to the nearest float32, and a value that lies on the rounded one would take the other
    branch: rounded down, every float32 goes where it went.
    """
    make = onnx.helper.make_attribute

    def mended(key: str, value: Any, *others: Any, **more: Any) -> Any:  # noqa: ANN401 - as handed over
        if isinstance(value, list):
            value = [_plain(one) for one in value]
            if key == THRESHOLDS:
                value = rounded_down(value)
        return make(key, _plain(value), *others, **more)

    onnx.helper.make_attribute = _container.make_attribute = mended
    try:
        yield
    finally:
        onnx.helper.make_attribute = _container.make_attribute = make


def _plain(value: Any) -> Any:  # noqa: ANN401 - likewise
    value = value.item() if isinstance(value, np.generic) else value
    return int(value) if isinstance(value, bool) else value


def rounded_down(values: list[float]) -> list[float]:
    """Largest float32 that is not above each value."""
    exact = np.array(values, np.float64)
    nearest = exact.astype(np.float32)
    lower = np.where(nearest > exact, np.nextafter(nearest, np.float32(-np.inf)), nearest)
    return [float(value) for value in lower.astype(np.float32)]
