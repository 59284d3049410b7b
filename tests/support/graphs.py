"""Small ONNX models that tests make for themselves: what each does is in its name."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import ArrayLike
from onnx import TensorProto, helper, numpy_helper

OPSET, IR = 17, 9

Rows = Sequence[int | str | None]

TYPES = {
    "float16": TensorProto.FLOAT16,
    "float32": TensorProto.FLOAT,
    "float64": TensorProto.DOUBLE,
    "bool": TensorProto.BOOL,
    "string": TensorProto.STRING,
} | {
    f"{sign}int{bits}": getattr(TensorProto, f"{sign}INT{bits}".upper())
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}


def value(name: str, kind: str, shape: Rows | None) -> onnx.ValueInfoProto:
    """Describe an input or an output; open lengths are texts."""
    return helper.make_tensor_value_info(name, TYPES[kind], shape)


def constant(name: str, array: ArrayLike, kind: str = "float32") -> onnx.TensorProto:
    """Make an initializer."""
    return numpy_helper.from_array(np.asarray(array, dtype=kind), name)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    constants: Sequence[onnx.TensorProto] = (),
) -> bytes:
    """Serialise a model of one graph."""
    graph = helper.make_graph(nodes, "graph", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR)
    return bytes(made.SerializeToString())


def node(operator: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """Make a node; names are separated by blanks."""
    return helper.make_node(operator, inputs.split(), outputs.split(), **attributes)


def identity(kind: str = "float32", shape: Rows = ("N", 1), names: str = "x y") -> bytes:
    """Give back what it is given, under another name."""
    given, gives = names.split()
    return model(
        [node("Identity", given, gives)], [value(given, kind, shape)], [value(gives, kind, shape)]
    )


def scaled(factor: float, width: int = 1, bias: float = 0.0) -> bytes:
    """Give y = factor * x + bias."""
    return model(
        [node("Mul", "x f", "m"), node("Add", "m b", "y")],
        [value("x", "float32", ["N", width])],
        [value("y", "float32", ["N", width])],
        [constant("f", [factor]), constant("b", [bias])],
    )


def linear(width: int = 4, seed: int = 0) -> bytes:
    """Give y[N, 1] = x[N, width] @ w + b."""
    random = np.random.default_rng(seed)
    return model(
        [node("Gemm", "x w b", "y")],
        [value("x", "float32", ["N", width])],
        [value("y", "float32", ["N", 1])],
        [constant("w", random.standard_normal((width, 1))), constant("b", [0.5])],
    )


def mlp(width: int = 29, hidden: int = 16) -> bytes:
    """Give the probability of a network with one hidden layer."""
    random = np.random.default_rng(7)
    return model(
        [
            node("Gemm", "x w1 b1", "h"),
            node("Relu", "h", "r"),
            node("Gemm", "r w2 b2", "o"),
            node("Sigmoid", "o", "y"),
        ],
        [value("x", "float32", ["N", width])],
        [value("y", "float32", ["N", 1])],
        [
            constant("w1", random.standard_normal((width, hidden))),
            constant("b1", random.standard_normal(hidden)),
            constant("w2", random.standard_normal((hidden, 1))),
            constant("b2", [0.1]),
        ],
    )


def quantised(width: int = 8) -> bytes:
    """Give a product whose scale is taken over the whole batch: rows depend on their neighbours."""
    random = np.random.default_rng(3)
    weights = random.integers(-100, 100, (width, 1))
    return model(
        [
            node("DynamicQuantizeLinear", "x", "q scale zero"),
            node("MatMulInteger", "q w zero", "i"),
            node("Cast", "i", "f", to=TensorProto.FLOAT),
            node("Mul", "f scale", "y"),
        ],
        [value("x", "float32", ["N", width])],
        [value("y", "float32", ["N", 1])],
        [constant("w", weights, "int8")],
    )


def several_inputs() -> bytes:
    """Give total = a + b, flag = c, label = d: floats, an integer each row, a boolean, a text."""
    return model(
        [
            node("Cast", "b", "bf", to=TensorProto.FLOAT),
            node("Add", "a bf", "total"),
            node("Identity", "c", "flag"),
            node("Identity", "d", "label"),
        ],
        [
            value("a", "float32", ["N"]),
            value("b", "int64", ["N"]),
            value("c", "bool", ["N"]),
            value("d", "string", ["N"]),
        ],
        [
            value("total", "float32", ["N"]),
            value("flag", "bool", ["N"]),
            value("label", "string", ["N"]),
        ],
    )


def image(height: int = 2, width: int = 3) -> bytes:
    """Give each image twice as bright."""
    shape: Rows = ["N", height, width]
    return model(
        [node("Add", "x x", "y")], [value("x", "float32", shape)], [value("y", "float32", shape)]
    )


def row_sums() -> bytes:
    """Give the sum of a row of any length."""
    return model(
        [node("ReduceSum", "x axes", "y", keepdims=1)],
        [value("x", "float32", ["N", "K"])],
        [value("y", "float32", ["N", 1])],
        [constant("axes", [1], "int64")],
    )


def one_row() -> bytes:
    """Take exactly one row."""
    return model(
        [node("Mul", "x two", "y")],
        [value("x", "float32", [1, 3])],
        [value("y", "float32", [1, 3])],
        [constant("two", [2])],
    )


def detector() -> bytes:
    """Give as many boxes as a row has numbers above zero, and their count: for `single`."""
    return model(
        [
            node("Squeeze", "x axes", "flat"),
            node("Greater", "flat zero", "above"),
            node("Compress", "flat above", "boxes", axis=0),
            node("Shape", "boxes", "shape"),
        ],
        [value("x", "float32", [1, 4])],
        [value("boxes", "float32", ["K"]), value("shape", "int64", [1])],
        [constant("axes", [0], "int64"), constant("zero", [0])],
    )


def endless(above: float = 1e6) -> bytes:
    """Loop for ever where x is above a number, else not at all."""
    body = helper.make_graph(
        [node("Identity", "go", "again"), node("Add", "state state", "next")],
        "body",
        [value("round", "int64", []), value("go", "bool", []), value("state", "float32", ["N", 1])],
        [value("again", "bool", []), value("next", "float32", ["N", 1])],
    )
    return model(
        [
            node("ReduceMax", "x", "top", keepdims=0),
            node("Greater", "top limit", "go"),
            node("Loop", "most go x", "y", body=body),
        ],
        [value("x", "float32", ["N", 1])],
        [value("y", "float32", ["N", 1])],
        [constant("limit", above), constant("most", 2**62, "int64")],
    )


def branching() -> bytes:
    """Give x or its negative by the sign of the sum, through an If."""
    branches = {
        name: helper.make_graph(
            [node(operator, "x", name)], name, [], [value(name, "float32", ["N", 1])]
        )
        for name, operator in (("then_branch", "Identity"), ("else_branch", "Neg"))
    }
    return model(
        [
            node("ReduceSum", "x", "sum", keepdims=0),
            node("Greater", "sum zero", "positive"),
            node("If", "positive", "y", **branches),
        ],
        [value("x", "float32", ["N", 1])],
        [value("y", "float32", ["N", 1])],
        [constant("zero", 0.0)],
    )


def running_sum() -> bytes:
    """Give the sum of a row's numbers through a Scan."""
    body = helper.make_graph(
        [node("Add", "total one", "next"), node("Identity", "next", "seen")],
        "body",
        [value("total", "float32", ["N"]), value("one", "float32", ["N"])],
        [value("next", "float32", ["N"]), value("seen", "float32", ["N"])],
    )
    return model(
        [
            node("ReduceSum", "x axes", "sums", keepdims=0),
            node("Sub", "sums sums", "zeros"),
            node("Scan", "zeros x", "y all", body=body, num_scan_inputs=1, scan_input_axes=[1]),
        ],
        [value("x", "float32", ["N", 3])],
        [value("y", "float32", ["N"])],
        [constant("axes", [1], "int64")],
    )


def never_a_number() -> bytes:
    """Give the logarithm of what is below 0: its bits depend on how many are computed at once."""
    return model(
        [node("Abs", "x", "a"), node("Sub", "below a", "negative"), node("Log", "negative", "y")],
        [value("x", "float32", ["N", 1])],
        [value("y", "float32", ["N", 1])],
        [constant("below", [-1.0], "float32")],
    )


def logarithm() -> bytes:
    """Give log(x): NaN below 0, minus infinity at 0."""
    return model(
        [node("Log", "x", "y")],
        [value("x", "float32", ["N", 1])],
        [value("y", "float32", ["N", 1])],
    )


def wrong_rows(width: int | str = 1) -> bytes:
    """Say one row each and give the rows twice."""
    return model(
        [node("Concat", "x x", "y", axis=0)],
        [value("x", "float32", ["N", width])],
        [value("y", "float32", ["M", width])],
    )


def scalar() -> bytes:
    """Give one number for the whole batch."""
    return model(
        [node("ReduceSum", "x", "y", keepdims=0)],
        [value("x", "float32", ["N", 1])],
        [onnx.ValueInfoProto(name="y")],
    )


def picky() -> bytes:
    """Fail on any row whose number is no index into a table of three."""
    return model(
        [node("Gather", "table x", "y", axis=0)],
        [value("x", "int64", ["N"])],
        [value("y", "float32", ["N"])],
        [constant("table", [0.5, 1.5, 2.5])],
    )


def maps() -> bytes:
    """Give what scikit-learn's converter gives by default: a list of dictionaries."""
    graph = helper.make_graph(
        [helper.make_node("ZipMap", ["x"], ["y"], domain="ai.onnx.ml", classlabels_int64s=[0, 1])],
        "graph",
        [value("x", "float32", ["N", 2])],
        [
            helper.make_value_info(
                "y",
                helper.make_sequence_type_proto(
                    helper.make_map_type_proto(
                        TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, [])
                    )
                ),
            )
        ],
    )
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", 3)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=IR)
    return bytes(made.SerializeToString())


def external(location: str, *, sparse: bool = False) -> bytes:
    """Keep its weights in another file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    if not sparse:
        return model(
            [node("Mul", "x w", "y")],
            [value("x", "float32", ["N", 1])],
            [value("y", "float32", ["N", 1])],
            [tensor],
        )
    indices = constant("", [0], "int64")
    holder = onnx.SparseTensorProto(values=tensor, indices=indices, dims=[1])
    return model(
        [node("Constant", "", "w", sparse_value=holder), node("Mul", "x w", "y")],
        [value("x", "float32", ["N", 1])],
        [value("y", "float32", ["N", 1])],
    )


def enormous(gibibytes: int = 32) -> bytes:
    """Add a tensor of so many GiB, which a few bytes ask for, to what it is given."""
    return model(
        [
            node("ConstantOfShape", "shape", "much"),
            node("ReduceMax", "much", "zero", keepdims=0),
            node("Add", "x zero", "y"),
        ],
        [value("x", "float32", ["N", 1])],
        [value("y", "float32", ["N", 1])],
        [constant("shape", [gibibytes << 28], "int64")],
    )


def many_inputs(names: Sequence[str]) -> bytes:
    """Give the sum of many inputs."""
    return model(
        [node("Sum", " ".join(names), "y")],
        [value(name, "float32", ["N", 1]) for name in names],
        [value("y", "float32", ["N", 1])],
    )


def many_outputs(names: Sequence[str]) -> bytes:
    """Give what it is given, under many names."""
    return model(
        [node("Identity", "x", name) for name in names],
        [value("x", "float32", ["N", 1])],
        [value(name, "float32", ["N", 1]) for name in names],
    )


def ranking(
    places: int, kind: str = "int64", width: int | str = 4, *, best_first: bool = True
) -> bytes:
    """Give `items`: the places of the highest of some scores x, or those of the lowest."""
    order = node("TopK", "x k", "values found", largest=int(best_first))
    return model(
        [order, node("Cast", "found", "items", to=TYPES[kind])],
        [value("x", "float32", ["N", width])],
        [value("items", kind, ["N", places])],
        [constant("k", [places], "int64")],
    )


BY_NAME: Mapping[str, bytes] = {
    "linear": linear(),
    "mlp": mlp(),
    "quantised": quantised(),
    "several inputs": several_inputs(),
    "image": image(),
    "row sums": row_sums(),
    "one row": one_row(),
    "detector": detector(),
    "endless": endless(),
    "branching": branching(),
    "running sum": running_sum(),
    "logarithm": logarithm(),
    "wrong rows": wrong_rows(),
    "picky": picky(),
    "maps": maps(),
    "external": external("weights.bin"),
}
"""One of each, for tests that want them all."""
