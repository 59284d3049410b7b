from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto

import graphs
from tiltyard_engine.onnxfile import MAX_DEPTH, NotOnnx, look_into

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"


def graphs_in(model: onnx.ModelProto) -> Iterator[onnx.GraphProto]:
    waiting = [model.graph]
    waiting += [
        attribute.g
        for f in model.functions
        for n in f.node
        for attribute in n.attribute
        if attribute.HasField("g")
    ]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                waiting += [attribute.g] if attribute.HasField("g") else []
                waiting += attribute.graphs


def facts_of(data: bytes) -> tuple[set[str], int, bool]:
    """Operators, number of graphs and whether anything is kept outside, by the onnx package."""
    model = onnx.load_from_string(data)
    found = list(graphs_in(model))
    operators = {node.op_type for graph in found for node in graph.node}
    operators |= {node.op_type for function in model.functions for node in function.node}
    outside = any(
        tensor.data_location == TensorProto.EXTERNAL for g in found for tensor in g.initializer
    )
    return operators, len(found), outside


@pytest.mark.parametrize("name", graphs.BY_NAME)
def test_our_own_models_hold_what_the_onnx_package_reads(name: str) -> None:
    data = graphs.BY_NAME[name]
    facts = look_into(data)
    assert (facts.operators, facts.graphs, bool(facts.external)) == facts_of(data)


def test_models_that_onnx_ships_hold_what_the_onnx_package_reads() -> None:
    files = sorted(DATA.glob("**/*.onnx"))
    assert len(files) > 100
    for file in files:
        data = file.read_bytes()
        facts = look_into(data)
        assert (facts.operators, facts.graphs, bool(facts.external)) == facts_of(data), file.name


@pytest.mark.parametrize("name", ["linear", "branching", "running sum", "external", "maps"])
def test_a_model_that_is_cut_short_anywhere_is_told_so_or_read(name: str) -> None:
    data = graphs.BY_NAME[name]
    refused = 0
    for length in range(len(data)):
        try:
            look_into(data[:length])
        except NotOnnx:
            refused += 1
    assert refused > len(data) // 2


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("location", ["weights.bin", "../../etc/passwd", "/etc/passwd", ""])
def test_weights_outside_are_seen_wherever_they_hide(location: str, *, sparse: bool) -> None:
    assert location in look_into(graphs.external(location, sparse=sparse)).external


@pytest.mark.parametrize(
    "data",
    [b"", b"\x00", b"not a model", b"\xff" * 100, b"PK\x03\x04" + b"\x00" * 50, b"\x3a\xff\x01"],
    ids=repr,
)
def test_other_files_are_no_models(data: bytes) -> None:
    with pytest.raises(NotOnnx):
        look_into(data)


def nested(depth: int) -> bytes:
    graph = b""
    for _ in range(depth):
        attribute = b"\x32" + length(graph) + graph
        node = b"\x2a" + length(attribute) + attribute
        graph = b"\x0a" + length(node) + node
    return b"\x3a" + length(graph) + graph


def length(data: bytes) -> bytes:
    count, text = len(data), bytearray()
    while count >= 128:
        text.append(count & 127 | 128)
        count >>= 7
    return bytes([*text, count])


def test_graphs_may_be_nested_but_not_for_ever() -> None:
    assert look_into(nested(MAX_DEPTH)).graphs == MAX_DEPTH + 1
    for depth in (MAX_DEPTH + 1, 20_000):
        with pytest.raises(NotOnnx, match="nested deeper than 32"):
            look_into(nested(depth))
