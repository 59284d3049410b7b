"""Planes that are spoken to in Arrow, and how they are asked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

import graphs
from planes import Answer, Plane, opened, shadow, split
from tables import FILE, packed, unpacked
from tiltyard_engine.sizes import Sizes

FEATURES = {"columns": ["p", "q", "r"]}
WIDE = {
    "inputs": [{"name": "x", "type": "float32", "shape": [3], **FEATURES}],
    "outputs": [{"name": "y", "type": "float32", "shape": [3]}],
}
SIZES = Sizes(bytes=1 << 20, rows=2000, depth=6)

Planes = dict[str, Plane]


def sent(plane: Plane, body: bytes, media: str = FILE, wanted: str = "", query: str = "") -> Answer:
    headers = {"Content-Type": media} | ({"Accept": wanted} if wanted else {})
    return plane.ask(body, query, headers)


def answered(plane: Plane, columns: Any, query: str = "") -> Any:
    answer = sent(plane, packed(columns), FILE, FILE, query)
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == FILE
    return unpacked(answer.body)


@contextmanager
def open_planes(folder: Callable[[str], Path]) -> Iterator[Planes]:
    """Open a plane for each Pipeline that the tests of Arrow speak to."""
    models: dict[str, tuple[dict[str, bytes], dict[str, Any]]] = {
        "numbers": ({"m": graphs.scaled(1, 3)}, {"entries": {"m": WIDE}}),
        "vector": ({"m": graphs.scaled(2, 3)}, {}),
        "image": ({"m": graphs.image(2, 3)}, {}),
        "any length": ({"m": graphs.row_sums()}, {}),
        "one": ({"m": graphs.identity()}, {}),
        "kinds": ({"m": graphs.several_inputs()}, {}),
        "boxes": ({"m": graphs.detector()}, {"entries": {"m": {"batch": "single"}}}),
        "log": ({"m": graphs.logarithm()}, {}),
        "split": (
            {"a": graphs.scaled(2), "b": graphs.scaled(3)},
            {"steps": [split("a", "b", field="k")]},
        ),
        "beside": (
            {"a": graphs.scaled(2), "b": graphs.scaled(3)},
            {"steps": [shadow("a", "b", outputs="respond", budget="20s")]},
        ),
        "unseen": (
            {"a": graphs.scaled(2), "b": graphs.scaled(3)},
            {"steps": [shadow("a", "b", sample=0, outputs="respond", budget="20s")]},
        ),
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(opened(folder("plane"), given, sizes=SIZES, **more))
            for name, (given, more) in models.items()
        }


def lists(type_: Any) -> Any:
    return pa.array([[1, 2, 3], [4, 5, 6]], type_)


F4 = pa.float32()
