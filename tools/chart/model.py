"""The model of `helm test`: it doubles a number."""

from onnx import TensorProto, helper


def model() -> bytes:
    """Write it, the same bytes each time."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 1]) for name in ("x", "y")
    )
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "double", [x], [y])
    opsets = [helper.make_opsetid("", 17)]
    made = helper.make_model(graph, ir_version=8, opset_imports=opsets, producer_name="tiltyard")
    return bytes(made.SerializeToString(deterministic=True))
