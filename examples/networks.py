"""Trained networks written straight to ONNX: dense layers with ReLU between them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Matrix = np.ndarray[Any, Any]
Value = tuple[str, list[int]]
"""Name and shape (without rows) of a float32 input or output."""


class Network:
    """Nodes and weights in the order in which they were added."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Add a node; the name of its output is the answer."""
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weight(self, name: str, values: Matrix) -> str:
        """Add a weight, in float32 as everything here."""
        self.weights.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def dense(self, value: str, weights: list[Matrix], biases: list[Matrix], output: str) -> str:
        """Add the layers from `value` to `output`; the last one stays linear."""
        last = len(weights) - 1
        for n, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            names = [value, self.weight(f"w{n}", weight), self.weight(f"b{n}", bias)]
            value = self.add("Gemm", names, output if n == last else f"sum{n}")
            if n < last:
                value = self.add("Relu", [value], f"layer{n}")
        return value

    def model(self, taken: Value, given: Sequence[Value]) -> onnx.ModelProto:
        """The finished graph; `artifacts.save_model` fills in the rest."""
        ins, *outs = (
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", *shape])
            for name, shape in (taken, *given)
        )
        return helper.make_model(helper.make_graph(self.nodes, "", [ins], outs, self.weights))
