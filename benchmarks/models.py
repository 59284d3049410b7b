"""Make the models that are measured: seeded, so that every machine serves the same bytes.

They are built node by node, so that no training library is needed and the shape is plain to see.
Weights are random: the time of a run does not depend on what a model has learnt.
"""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FRAUD_COLUMNS = ("Time", *(f"V{k}" for k in range(1, 28)), "Amount")
HOUSE_COLUMNS = tuple(f"f{k:02d}" for k in range(18))
DAY = 86_400  # the fraud rows' Time counts seconds over two days
FOREVER = 2**62

TREES = 200
DEPTH = 6
HEAVY_CHANNELS = 128
HEAVY_LAYERS = 8
HEAVY_SIDE = 16

Weights = NDArray[np.float32]


def make_models(folder: Path) -> None:
    """Write every model into `folder`, under the names that the manifests use."""
    makers: dict[str, Callable[[], onnx.ModelProto]] = {
        "fraud": lambda: fraud(seed=1),
        "fraud-other": lambda: fraud(seed=2),
        "house": house,
        "heavy": heavy,
        "hanging": hanging,
        "failing": failing,
        "nan": not_a_number,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in makers.items():
        model = make()
        onnx.checker.check_model(model)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


def fraud(seed: int) -> onnx.ModelProto:
    """Make a small network, 29-64-32-1 with a sigmoid: a model so cheap that all else shows."""
    rng = np.random.default_rng(seed)
    sizes = (len(FRAUD_COLUMNS), 64, 32, 1)
    weights: dict[str, Weights] = {}
    nodes = []
    value = "x"
    for layer, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        weights[f"w{layer}"] = _normal(rng, wide, narrow) / np.float32(np.sqrt(wide))
        weights[f"b{layer}"] = _normal(rng, narrow) / np.float32(4)
        last = layer == len(sizes) - 2
        nodes += [
            helper.make_node("Gemm", [value, f"w{layer}", f"b{layer}"], [f"h{layer}"]),
            helper.make_node(
                "Sigmoid" if last else "Relu", [f"h{layer}"], ["y" if last else f"a{layer}"]
            ),
        ]
        value = f"a{layer}"
    weights["w0"][0] /= DAY  # Time and Amount come unscaled: unscaled weights would answer 0 or 1
    weights["w0"][-1] /= 100
    return _model("fraud", nodes, weights)


def house() -> onnx.ModelProto:
    """Make 200 full trees of depth 6, whose time depends on the branches that a row takes."""
    rng = np.random.default_rng(3)
    inner, leaves = 2**DEPTH - 1, 2**DEPTH
    size = inner + leaves
    node = np.arange(size)
    is_leaf = node >= inner
    split_on = rng.integers(0, len(HOUSE_COLUMNS), (TREES, size))
    threshold = rng.standard_normal((TREES, size)).astype(np.float32)
    leaf_value = (rng.standard_normal((TREES, leaves)) * 1_000 + 1_500).astype(np.float32)

    def for_each_tree(of_one_tree: NDArray[np.int64]) -> list[int]:
        return np.tile(of_one_tree, TREES).tolist()

    trees = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=np.repeat(np.arange(TREES), size).tolist(),
        nodes_nodeids=for_each_tree(node),
        nodes_modes=[b"LEAF" if leaf else b"BRANCH_LT" for leaf in is_leaf] * TREES,
        nodes_featureids=np.where(is_leaf, 0, split_on).ravel().tolist(),
        nodes_values=np.where(is_leaf, np.float32(0), threshold).ravel().tolist(),
        nodes_truenodeids=for_each_tree(np.where(is_leaf, 0, 2 * node + 1)),
        nodes_falsenodeids=for_each_tree(np.where(is_leaf, 0, 2 * node + 2)),
        nodes_hitrates=[1.0] * (TREES * size),
        nodes_missing_value_tracks_true=[0] * (TREES * size),
        target_treeids=np.repeat(np.arange(TREES), leaves).tolist(),
        target_nodeids=for_each_tree(node[is_leaf]),
        target_ids=[0] * (TREES * leaves),
        target_weights=leaf_value.ravel().tolist(),
    )
    return _model("house", [trees], {}, columns=len(HOUSE_COLUMNS))


def heavy() -> onnx.ModelProto:
    """Make a model of several milliseconds that takes the same small rows as `fraud`.

    A picture as JSON would take longer to decode than to score, and the shadow's price would
    drown in it; so the graph spreads its 29 numbers over a plane and runs convolutions there.
    """
    rng = np.random.default_rng(4)
    plane = HEAVY_SIDE * HEAVY_SIDE
    fan_in = np.float32(np.sqrt(9 * HEAVY_CHANNELS))
    kernel = (HEAVY_CHANNELS, HEAVY_CHANNELS, 3, 3)
    weights = {
        "spread": _normal(rng, len(FRAUD_COLUMNS), HEAVY_CHANNELS * plane) / np.float32(DAY),
        "gather": _normal(rng, HEAVY_CHANNELS, 1),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "spread"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["a0"]),
    ]
    for layer in range(HEAVY_LAYERS):
        weights[f"k{layer}"] = _normal(rng, *kernel) / fan_in
        nodes += [
            helper.make_node("Conv", [f"a{layer}", f"k{layer}"], [f"c{layer}"], pads=[1] * 4),
            helper.make_node("Relu", [f"c{layer}"], [f"a{layer + 1}"]),
        ]
    nodes += [
        helper.make_node("GlobalAveragePool", [f"a{HEAVY_LAYERS}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["features"]),
        helper.make_node("MatMul", ["features", "gather"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["y"]),
    ]
    shape = np.array([-1, HEAVY_CHANNELS, HEAVY_SIDE, HEAVY_SIDE], np.int64)
    return _model("heavy", nodes, weights, constants={"shape": shape})


def hanging() -> onnx.ModelProto:
    """Make a challenger that loops for ever on every row of the second day, half of the traffic.

    It answers other rows, so that loading and warming it up work and only served traffic hangs.
    """
    constants: dict[str, NDArray[np.generic]] = {
        "trips": np.array(FOREVER, np.int64),
        "first": np.array(0, np.int64),
        "day": np.array(DAY, np.float32),
        "two_days": np.array(2 * DAY, np.float32),
        "step": np.array(1, np.float32),
        "rows_axis": np.array([0], np.int64),
        "columns_axis": np.array([1], np.int64),
    }
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["again"], ["again_out"]),
            helper.make_node("Add", ["sum", "step"], ["sum_out"]),
        ],
        "forever",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("again", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            helper.make_tensor_value_info("again_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, ["n", 1]),
        ],
    )
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["time"], axis=1),
        helper.make_node("GreaterOrEqual", ["time", "day"], ["late"]),
        helper.make_node("Less", ["time", "two_days"], ["early"]),
        helper.make_node("And", ["late", "early"], ["hangs"]),
        helper.make_node("Cast", ["hangs"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["counted", "rows_axis"], ["any"], keepdims=0),
        helper.make_node("Cast", ["any"], ["again_0"], to=TensorProto.BOOL),
        helper.make_node("Unsqueeze", ["time", "columns_axis"], ["column"]),
        helper.make_node("Loop", ["trips", "again_0", "column"], ["y"], body=body),
    ]
    return _model("hanging", nodes, {}, constants=constants)


def failing() -> onnx.ModelProto:
    """Make a challenger that fails on every row of the second day, half of the traffic."""
    constants: dict[str, NDArray[np.generic]] = {
        "first": np.array(0, np.int64),
        "day": np.array(DAY, np.float32),
        "only": np.array([0.5], np.float32),
        "columns_axis": np.array([1], np.int64),
    }
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["time"], axis=1),
        helper.make_node("GreaterOrEqual", ["time", "day"], ["late"]),
        helper.make_node("Cast", ["late"], ["beyond"], to=TensorProto.INT64),
        helper.make_node("Gather", ["only", "beyond"], ["found"]),
        helper.make_node("Unsqueeze", ["found", "columns_axis"], ["y"]),
    ]
    return _model("failing", nodes, {}, constants=constants)


def not_a_number() -> onnx.ModelProto:
    """Make a challenger that answers NaN."""
    constants: dict[str, NDArray[np.generic]] = {
        "first": np.array([0], np.int64),
        "below": np.array(-1, np.float32),
    }
    nodes = [
        helper.make_node("Gather", ["x", "first"], ["time"], axis=1),
        helper.make_node("Abs", ["time"], ["positive"]),
        helper.make_node("Sub", ["below", "positive"], ["negative"]),
        helper.make_node("Log", ["negative"], ["y"]),
    ]
    return _model("nan", nodes, {}, constants=constants)


def _normal(rng: np.random.Generator, *shape: int) -> Weights:
    """Draw standard normal float32 weights."""
    return rng.standard_normal(shape).astype(np.float32)


def _model(
    name: str,
    nodes: list[onnx.NodeProto],
    weights: dict[str, Weights],
    columns: int = len(FRAUD_COLUMNS),
    constants: dict[str, NDArray[np.generic]] | None = None,
) -> onnx.ModelProto:
    """Wrap nodes into a model of x [n, columns] and y [n, 1]."""
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])],
        [numpy_helper.from_array(v, k) for k, v in {**weights, **(constants or {})}.items()],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)
