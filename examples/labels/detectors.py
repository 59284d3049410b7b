"""Two detectors of labels, trained and written as ONNX: one looks once, the other twice."""

from collections.abc import Sequence

import numpy as np
import onnx
from learning import CLOSE, LUMA, NOTHING, OTHERS, SEED, Grid, Network, fitted, learned
from networks import Network as Graph
from onnx import TensorProto, helper
from scenes import HEIGHT, WIDTH, Array, Scene

WINDOWS = Grid(cell=4, window=20, step=2)
WINDOW_UNITS = 64
REGIONS = Grid(cell=8, window=10, step=1)
REGION_UNITS = 24
READ_UNITS = 64

CROP_CELL, CROP = 2, 16
"""A region is read on a map of cells of so many pixels, as so many numbers square."""

SAMPLES = 2
"""Of the map, for each of these numbers, along each side."""

MOST_BOXES, MOST_REGIONS = 50, 20
OVERLAP = 0.3
SURE, WORTH_A_LOOK = 0.5, 0.2
"""Least confidence in a box, and in a region."""

SHIFT = 4.0
"""Pixels by which regions are off when reading is learned."""


def windows(scenes: Sequence[Scene]) -> onnx.ModelProto:
    """One network over all windows says what each shows, and where its edges are."""
    network = learned(scenes, WINDOWS, WINDOW_UNITS, lambda classes: classes)
    graph = Graph()
    boxes, logits = _over_windows(graph, network, WINDOWS, NOTHING + 1)
    _classes(graph, logits, boxes)
    chosen = _best(graph, "all boxes", "all confidences", MOST_BOXES, SURE)
    for output in ("boxes", "classes", "confidences"):
        graph.add("Gather", [f"all {output}", chosen], output, axis=0)
    return _model(graph)


def regions(scenes: Sequence[Scene]) -> onnx.ModelProto:
    """A small network proposes regions by a coarse look; a second one reads each of them."""
    proposing = learned(scenes, REGIONS, REGION_UNITS, lambda classes: classes != NOTHING)
    reading = fitted(*_crops(scenes, proposing), READ_UNITS)
    graph = Graph()
    boxes, logits = _over_windows(graph, proposing, REGIONS, 1)
    flat = graph.add("Flatten", [logits], "flat logits", axis=0)
    graph.add("Squeeze", [flat, _whole(graph, "first", [0])], "one logit")
    graph.add("Sigmoid", ["one logit"], "worth")
    chosen = _best(graph, boxes, "worth", MOST_REGIONS, WORTH_A_LOOK)
    graph.add("Gather", [boxes, chosen], "regions", axis=0)
    _grey(graph, CROP_CELL, "fine")
    graph.add("Shape", [chosen], "how many")
    graph.add("ConstantOfShape", ["how many"], "picture 0", value=_zero())
    graph.add(
        "RoiAlign",
        ["fine", "regions", "picture 0"],
        "crops",
        output_height=CROP,
        output_width=CROP,
        sampling_ratio=SAMPLES,
        spatial_scale=1 / CROP_CELL,
    )
    flat = graph.add("Flatten", ["crops"], "flat crops")
    weights = [_around_mean(reading.coefs_[0]), reading.coefs_[1]]
    logits = graph.dense(flat, weights, reading.intercepts_, "digit logits")
    _classes(graph, logits, "regions")
    graph.add("Greater", ["all confidences", graph.weight("sure", np.array(SURE))], "is sure")
    for output in ("boxes", "classes", "confidences"):
        graph.add("Compress", [f"all {output}", "is sure"], output, axis=0)
    return _model(graph)


def _over_windows(graph: Graph, network: Network, grid: Grid, classes: int) -> tuple[str, str]:
    """Run a network over every window; returns its boxes, and its logits a window."""
    classifier, edges = network.classifier, network.edges
    _grey(graph, grid.cell, "map")
    square = (len(classifier.intercepts_[0]), 1, grid.window, grid.window)
    kernels = _around_mean(classifier.coefs_[0]).T.reshape(square)
    inputs = [
        "map",
        graph.weight("look", kernels),
        graph.weight("b look", classifier.intercepts_[0]),
    ]
    seen = graph.add("Conv", inputs, "seen", strides=[grid.step, grid.step])
    hidden = graph.add("Relu", [seen], "hidden")
    told = {
        "logits": (classifier.coefs_[1].T, classifier.intercepts_[1], classes),
        "edges": (edges.coef_, edges.intercept_, 4),
    }
    for name, (weights, biases, count) in told.items():
        kernels = graph.weight(f"w {name}", weights[:, :, None, None])
        value = graph.add(
            "Conv", [hidden, kernels, graph.weight(f"b {name}", biases)], f"{name} map"
        )
        value = graph.add("Transpose", [value], f"{name} last", perm=[0, 2, 3, 1])
        graph.add("Reshape", [value, _whole(graph, f"{name} shape", [-1, count])], name)
    middles = graph.weight("middles", grid.middles(HEIGHT, WIDTH))
    return graph.add("Add", ["edges", middles], "windows"), "logits"


def _grey(graph: Graph, cell: int, output: str) -> None:
    """Grey of the picture, a mean for each cell."""
    luma = graph.weight(f"luma {output}", LUMA.reshape(1, 3, 1, 1))
    grey = graph.add("Conv", ["tensor", luma], f"grey {output}")
    square = [cell, cell]
    graph.add("AveragePool", [grey], output, kernel_shape=square, strides=square)


def _classes(graph: Graph, logits: str, boxes: str) -> None:
    """Say of each box the likeliest digit and how sure it is."""
    graph.add("Softmax", [logits], "shares", axis=1)
    digits = [
        _whole(graph, "from", [0]),
        _whole(graph, "to", [NOTHING]),
        _whole(graph, "axis", [1]),
    ]
    graph.add("Slice", ["shares", *digits], "digits")
    graph.add("ReduceMax", ["digits"], "all confidences", axes=[1], keepdims=0)
    graph.add("ArgMax", ["digits"], "all classes", axis=1, keepdims=0)
    graph.add("Identity", [boxes], "all boxes")


def _best(graph: Graph, boxes: str, scores: str, most: int, least: float) -> str:
    """Numbers of the best boxes that do not overlap; returns their name."""
    leading = _whole(graph, "leading", [0])
    graph.add("Unsqueeze", [boxes, leading], "boxes of one")
    graph.add("Unsqueeze", [scores, _whole(graph, "leading two", [0, 1])], "scores of one")
    bounds = [
        _whole(graph, "most", [most]),
        graph.weight("overlap", np.array([OVERLAP])),
        graph.weight("least", np.array([least])),
    ]
    graph.add("NonMaxSuppression", ["boxes of one", "scores of one", *bounds], "selected")
    column = _whole(graph, "column", 2)
    return graph.add("Gather", ["selected", column], "chosen", axis=1)


def _crops(scenes: Sequence[Scene], proposing: Network) -> tuple[Array, Array]:
    """Regions as they will be read: of labels, a little off, and of what is none."""
    rng = np.random.default_rng(SEED)
    crops, classes = [], []
    for scene in scenes:
        fine = Grid(CROP_CELL, 1, 1).map(scene.picture)
        middles = REGIONS.middles(HEIGHT, WIDTH)
        hidden = proposing.hidden(REGIONS.windows(scene.picture))
        proposed = proposing.edges.predict(hidden) + middles
        centers = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
        away = np.linalg.norm(middles[:, None, :2] - centers[None], axis=2)
        near = np.flatnonzero(away.min(axis=1) < 2 * CLOSE)
        worth = proposing.classifier.predict_proba(REGIONS.windows(scene.picture))[:, 1]
        none = np.where(away.min(axis=1) > 4 * CLOSE, worth, 0)
        wrong = np.argsort(-none, kind="stable")[:OTHERS]
        off = scene.boxes + rng.uniform(-SHIFT, SHIFT, scene.boxes.shape)
        for boxes, shown in (
            (proposed[near], scene.digits[away[near].argmin(axis=1)]),
            (off, scene.digits),
            (proposed[wrong], np.full(len(wrong), NOTHING)),
        ):
            crops += [_crop(fine, box) for box in boxes]
            classes += shown.tolist()
    return np.array(crops), np.array(classes)


def _crop(fine: Array, box: Array) -> Array:
    """Cut a region out as RoiAlign does, around its own mean."""
    left, top, right, bottom = box / CROP_CELL - 0.5
    count = CROP * SAMPLES
    steps = (np.arange(count) + 0.5) / count
    rows = (top + steps * (bottom - top)).clip(0, fine.shape[0] - 1.001)
    columns = (left + steps * (right - left)).clip(0, fine.shape[1] - 1.001)
    y, x = rows.astype(int), columns.astype(int)
    down, along = (rows - y)[:, None], (columns - x)[None]
    upper = fine[y][:, x] * (1 - along) + fine[y][:, x + 1] * along
    lower = fine[y + 1][:, x] * (1 - along) + fine[y + 1][:, x + 1] * along
    samples = upper * (1 - down) + lower * down
    crop = samples.reshape(CROP, SAMPLES, CROP, SAMPLES).mean(axis=(1, 3)).ravel()
    return crop - crop.mean()


def _around_mean(weights: Array) -> Array:
    """Weights that see a window as its numbers less their mean."""
    return weights - weights.mean(axis=0)


def _whole(graph: Graph, name: str, values: object) -> str:
    """Add whole numbers, for operators that want them."""
    numbers = np.array(values, np.int64)
    graph.weights.append(onnx.numpy_helper.from_array(numbers, name))
    return name


def _zero() -> onnx.TensorProto:
    return helper.make_tensor("zero", TensorProto.INT64, [1], [0])


def _model(graph: Graph) -> onnx.ModelProto:
    """The finished graph; `artifacts.save_graph` fills in the rest."""
    tensor = helper.make_tensor_value_info("tensor", TensorProto.FLOAT, [1, 3, HEIGHT, WIDTH])
    given = [
        helper.make_tensor_value_info("boxes", TensorProto.FLOAT, ["found", 4]),
        helper.make_tensor_value_info("classes", TensorProto.INT64, ["found"]),
        helper.make_tensor_value_info("confidences", TensorProto.FLOAT, ["found"]),
    ]
    return helper.make_model(helper.make_graph(graph.nodes, "", [tensor], given, graph.weights))
