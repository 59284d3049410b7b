"""Looks into an ONNX file without parsing its tensors and without the onnx package.

Two things must be known before onnxruntime sees a file: whether it names files outside itself,
and which operators its graphs hold. Both are read from the wire format of protocol buffers
(field numbers from onnx.proto), passing over everything else.
"""

import mmap
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

# Field numbers of onnx.proto, by message.
MODEL_GRAPH, MODEL_FUNCTION = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_SPARSE = 1, 5, 15
NODE_OPERATOR, NODE_ATTRIBUTE = 4, 5
FUNCTION_NODE = 7
ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_TENSORS, ATTRIBUTE_GRAPHS = 5, 6, 10, 11
ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES = 22, 23
SPARSE_VALUES, SPARSE_INDICES = 1, 2
TENSOR_EXTERNAL, TENSOR_LOCATION = 13, 14
ENTRY_KEY, ENTRY_VALUE = 1, 2

MAX_DEPTH = 32
"""Graphs inside graphs; real models have a handful."""


class NotOnnx(ValueError):  # noqa: N818 - says what the file is
    """The bytes are not an ONNX model."""


class WeightsElsewhere(ValueError):  # noqa: N818 - likewise
    """A model reads files that are not the artifact's own."""


@dataclass(slots=True)
class OnnxFacts:
    """What a file holds, as far as Tiltyard must know before loading it."""

    operators: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)
    """Names of files that tensors are kept in."""

    graphs: int = 0


def graph_file(place: Path) -> Path:
    """Find the graph of an artifact: the file itself, or the one of an unpacked archive.

    Raises:
        NotOnnx: there is none, or more than one.

    """
    if not place.is_dir():
        return place
    found = sorted(place.glob("*.onnx"))
    named = [file for file in found if file.name == "model.onnx"]
    if len(named or found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise NotOnnx(f"its zip holds {names} at the top: keep one file that ends in .onnx there")
    return (named or found)[0]


def checked_graph(place: Path) -> Path:
    """Find the graph of an artifact, and make sure that it reads no files but the artifact's own.

    Raises:
        NotOnnx: it is no model.
        WeightsElsewhere: it names a file that is not a plain one beside it.

    """
    path = graph_file(place)
    external = read_facts(path).external
    # A tensor that lies elsewhere is told twice: that it does, and where, unless it is malformed.
    for name in sorted(external - {""}) or sorted(external):
        # A link of either kind could lead anywhere, and onnxruntime follows hard ones.
        plain = name not in ("", ".", "..") and "/" not in name and "\\" not in name
        if not place.is_dir() or not plain or not _is_own_file(place / name):
            raise WeightsElsewhere(
                f"keeps weights outside itself ({name or 'another file'}): zip it together with"
                " that file, side by side, or save it as one"
                " (onnx.save with save_as_external_data=False)"
            )
    return path


def _is_own_file(path: Path) -> bool:
    try:
        found = path.lstat()
    except (OSError, ValueError):
        return False
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1


def read_facts(path: Path) -> OnnxFacts:
    """Read operators and external files of a model file, which is never whole in memory.

    Raises:
        NotOnnx: the bytes are cut short, or no model.

    """
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return look_into(b"")
        return look_into(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ))


def look_into(data: bytes | mmap.mmap) -> OnnxFacts:
    """Read operators and external files of a model.

    Raises:
        NotOnnx: the bytes are cut short, or no model.

    """
    facts = OnnxFacts()
    for number, value in _fields(memoryview(data)):
        if number == MODEL_GRAPH:
            _graph(_message(value), facts, 0)
        elif number == MODEL_FUNCTION:
            for inner, node in _fields(_message(value)):
                if inner == FUNCTION_NODE:
                    _node(_message(node), facts, 0)
    if not facts.graphs:
        raise NotOnnx("it holds no graph")
    return facts


def _graph(data: memoryview, facts: OnnxFacts, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotOnnx(f"its graphs are nested deeper than {MAX_DEPTH}")
    facts.graphs += 1
    for number, value in _fields(data):
        if number == GRAPH_NODE:
            _node(_message(value), facts, depth)
        elif number == GRAPH_INITIALIZER:
            _tensor(_message(value), facts)
        elif number == GRAPH_SPARSE:
            _sparse(_message(value), facts)


def _node(data: memoryview, facts: OnnxFacts, depth: int) -> None:
    for number, value in _fields(data):
        if number == NODE_OPERATOR:
            facts.operators.add(bytes(_message(value)).decode(errors="replace"))
        elif number == NODE_ATTRIBUTE:
            _attribute(_message(value), facts, depth)


def _attribute(data: memoryview, facts: OnnxFacts, depth: int) -> None:
    for number, value in _fields(data):
        if number in (ATTRIBUTE_GRAPH, ATTRIBUTE_GRAPHS):
            _graph(_message(value), facts, depth + 1)
        elif number in (ATTRIBUTE_TENSOR, ATTRIBUTE_TENSORS):
            _tensor(_message(value), facts)
        elif number in (ATTRIBUTE_SPARSE, ATTRIBUTE_SPARSES):
            _sparse(_message(value), facts)


def _sparse(data: memoryview, facts: OnnxFacts) -> None:
    for number, value in _fields(data):
        if number in (SPARSE_VALUES, SPARSE_INDICES):
            _tensor(_message(value), facts)


def _tensor(data: memoryview, facts: OnnxFacts) -> None:
    for number, value in _fields(data):
        if number == TENSOR_EXTERNAL:
            entry = dict(_fields(_message(value)))
            if bytes(_message(entry.get(ENTRY_KEY, b""))) == b"location":
                location = bytes(_message(entry.get(ENTRY_VALUE, b"")))
                facts.external.add(location.decode(errors="replace"))
        elif number == TENSOR_LOCATION and value == 1:
            facts.external.add("")


def _message(value: "memoryview | bytes | int") -> memoryview:
    if isinstance(value, int):
        raise NotOnnx("a number stands where a message is due")
    return memoryview(value)


def _fields(data: memoryview) -> "Iterator[tuple[int, memoryview | int]]":
    """Fields of one message: number and value; groups and unknown types end the reading."""
    position = 0
    while position < len(data):
        tag, position = _varint(data, position)
        kind = tag & 7
        if kind == VARINT:
            value, position = _varint(data, position)
            yield tag >> 3, value
            continue
        if kind == BYTES:
            length, position = _varint(data, position)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise NotOnnx(f"wire type {kind} at byte {position}")
        if position + length > len(data):
            raise NotOnnx(f"it is cut short at byte {len(data)}")
        yield tag >> 3, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = shift = 0
    while position < len(data) and shift < 70:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7
    raise NotOnnx(f"it is cut short at byte {len(data)}")
