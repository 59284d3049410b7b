"""PyTorch: programs that `torch.export.save` wrote."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from . import base
from .base import Arrays, Conversion, Fault, Rows

OPSET = 18
"""The oldest that its exporter writes by itself."""


def convert(path: Path, rows: Rows) -> Conversion:
    """Convert an exported program; its inputs keep the names of the arguments."""
    try:
        program = torch.export.load(path)
    except Exception as error:  # of many kinds
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Fault(f"{path} cannot be read by PyTorch {torch.__version__}: {first}") from error
    inputs = {name: _samples(name, like, rows) for name, like in _taken(program).items()}
    asked = [torch.from_numpy(array) for array in inputs.values()]
    with torch.no_grad():
        answers = _flat(program.module()(*asked))
    graph = _graph(program)
    names = [output.name for output in graph.graph.output]
    outputs: Arrays = dict(zip(names, answers, strict=True))
    return Conversion(graph.SerializeToString(deterministic=True), inputs, outputs)


def _taken(program: Any) -> dict[str, Any]:  # noqa: ANN401 - a library without types
    """What callers give: an example of each input, by name."""
    given = set(program.graph_signature.user_inputs)
    return {
        node.name: node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in given
    }


def _samples(name: str, like: Any, rows: Rows) -> Any:  # noqa: ANN401 - a library without types
    if not isinstance(like, torch.Tensor) or like.dim() == 0:
        raise Fault(f"input {name!r} is no tensor with rows: export a forward that takes tensors")
    kind = torch.empty(0, dtype=like.dtype).numpy().dtype
    first, *rest = like.shape
    shape = [length if isinstance(length, int) else 4 for length in rest]
    whole = base.made_up(kind, shape) if rows is None else base.tensor(rows, name, kind, shape)
    return np.resize(whole, (first, *shape)) if isinstance(first, int) else whole


def _flat(answer: Any) -> list[Any]:  # noqa: ANN401 - whatever forward returns
    leaves, _ = torch.utils._pytree.tree_flatten(answer)  # noqa: SLF001 - as exporters flatten it
    return [leaf.numpy() for leaf in leaves]


def _graph(program: Any) -> Any:  # noqa: ANN401 - a library without types
    try:
        exported = torch.onnx.export(
            program, (), dynamo=True, external_data=False, opset_version=OPSET, verbose=False
        )
    except torch.onnx.OnnxExporterError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        first = str(cause).splitlines()[0]
        raise Fault(
            f"PyTorch cannot express the program in ONNX: {first}: write that part by other"
            " operators, or serve the model as a Python function"
        ) from error
    with io.BytesIO() as written:
        exported.save(written, external_data=False)
        return onnx.load_from_string(written.getvalue())
