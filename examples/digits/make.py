"""Train the network of the digits example, write the step after it, set held-out images apart.

Run by `examples/build.py`, which pins what the bytes depend on.
"""

import gzip
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import artifacts
import numpy as np
from networks import Network
from onnx import TensorProto
from sklearn.neural_network import MLPClassifier

PACKAGE, MEMBER = "scikit-learn", "sklearn/datasets/data/digits.csv.gz"
SEED = 80
SIDE = 8
BRIGHTEST = 16
CLASSES = 10
HELD_OUT = 400

Array = np.ndarray[Any, Any]


def make(folder: Path) -> dict[str, Any]:
    """Write the example's models and held-out rows; return what `build.json` says of them."""
    packed = resources.files("sklearn.datasets.data").joinpath("digits.csv.gz").read_bytes()
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",").astype(int)
    images, digits = table[:, :-1].reshape(-1, SIDE, SIDE), table[:, -1]
    held_out = np.zeros(len(table), bool)
    held_out[np.random.default_rng(SEED).choice(len(table), HELD_OUT, replace=False)] = True

    rows = [{"image": image} for image in images[held_out].tolist()]
    artifacts.save_rows(rows, folder / "held-out.json")
    artifacts.save_rows(digits[held_out].tolist(), folder / "truth.json")

    asked = images[held_out].astype(np.float32)
    network, decision = (
        folder / "models" / "digits-net.onnx",
        folder / "models" / "digits-best.onnx",
    )
    _network(network, images[~held_out], digits[~held_out], asked)
    _decision(decision)
    logits = artifacts.run(network, {"image": asked})["logits"]
    right = artifacts.run(decision, {"logits": logits})["digit"] == digits[held_out]
    quality = {"digits-net, digits-best": {"images": HELD_OUT, "right": int(right.sum())}}
    package = f"{PACKAGE} {version(PACKAGE)}"
    return {"data": artifacts.source(package, MEMBER, packed, len(table)), "quality": quality}


def _network(path: Path, images: Array, digits: Array, asked: Array) -> None:
    """One hidden layer over the flattened image; the graph takes the image as it is."""
    trained = MLPClassifier((64,), alpha=0.01, max_iter=400, random_state=SEED)
    trained.fit(_flat(images), digits)
    net = Network()
    flat = net.add("Flatten", ["image"], "flat")
    grey = net.add("Div", [flat, net.weight("brightest", np.array(BRIGHTEST))], "grey")
    net.dense(grey, trained.coefs_, trained.intercepts_, "logits")
    artifacts.save_model(net.model(("image", [SIDE, SIDE]), [("logits", [CLASSES])]), path)
    answer = artifacts.run(path, {"image": asked})["logits"]
    artifacts.report_conversion(path, answer, _logits(trained, _flat(asked)))


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1) / BRIGHTEST


def _logits(trained: MLPClassifier, flat: Array) -> Array:
    """What scikit-learn computes before its softmax, which it does not give out."""
    hidden = np.maximum(flat @ trained.coefs_[0] + trained.intercepts_[0], 0)
    return hidden @ trained.coefs_[1] + trained.intercepts_[1]


def _decision(path: Path) -> None:
    """The step after: the likeliest digit of ten logits, and how likely it is."""
    net = Network()
    net.add("ArgMax", ["logits"], "digit", axis=1, keepdims=0)
    net.add("Softmax", ["logits"], "shares", axis=1)
    net.add("ReduceMax", ["shares"], "confidence", axes=[1], keepdims=0)
    model = net.model(("logits", [CLASSES]), [("digit", []), ("confidence", [])])
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    artifacts.save_model(model, path)
