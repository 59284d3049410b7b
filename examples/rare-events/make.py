"""Train champion and challengers of the rare-events example and set its held-out rows apart.

Run by `examples/build.py`, which pins what the bytes depend on.
"""

import gzip
from pathlib import Path
from typing import Any

import artifacts
import numpy as np
import onnx
import wheel_data
from networks import Network
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

PACKAGE, MEMBER = "river", "river/datasets/shuttle.csv.gz"
SEED = 148
READINGS = 9
HELD_OUT = 2000
TOLERANCE = 0.1
"""The manifest's `compare.tolerance`: the record says how often a challenger is so close."""

Array = np.ndarray[Any, Any]


def make(folder: Path) -> dict[str, Any]:
    """Write the example's models and held-out rows; return what `build.json` says of them."""
    packed = wheel_data.read(PACKAGE, MEMBER)
    table = np.loadtxt(gzip.decompress(packed).decode().splitlines(), delimiter=",", skiprows=1)
    readings, anomaly = table[:, :READINGS], table[:, READINGS].astype(int)
    held_out = np.zeros(len(table), bool)
    held_out[np.random.default_rng(SEED).choice(len(table), HELD_OUT, replace=False)] = True

    rows = [{"tensor": row} for row in readings[held_out].astype(int).tolist()]
    artifacts.save_rows(rows, folder / "held-out.json")
    artifacts.save_rows(anomaly[held_out].tolist(), folder / "truth.json")

    models = folder / "models"
    asked, truth = readings[held_out].astype(np.float32), anomaly[held_out]
    trained = (readings[~held_out], anomaly[~held_out])
    champion = artifacts.run(_champion(models, *trained, asked), {"tensor": asked})["score"]
    network = artifacts.run(_network(models, *trained, asked), {"tensor": asked})["score"]
    logistic = artifacts.run(_logistic(models, *trained, asked), {"readings": asked})["probability"]
    answers = {"events-gb": champion, "events-mlp": network, "events-logistic": logistic}
    quality = {name: _quality(score, champion, truth) for name, score in answers.items()}
    package = f"{PACKAGE} {wheel_data.version(PACKAGE)}"
    return {"data": artifacts.source(package, MEMBER, packed, len(table)), "quality": quality}


def _champion(models: Path, readings: Array, anomaly: Array, asked: Array) -> Path:
    """Boosted trees, converted; of label and two probabilities only the anomaly's is kept."""
    trees = GradientBoostingClassifier(n_estimators=40, subsample=0.5, random_state=SEED)
    trees.fit(readings, anomaly)
    plain = {"zipmap": False}  # else the probabilities are a sequence of maps, not a tensor
    model = to_onnx(trees, asked[:1], options=plain, target_opset=artifacts.OPSETS)
    _keep_score(model)
    path = models / "events-gb.onnx"
    artifacts.save_model(model, path)
    answer = artifacts.run(path, {"tensor": asked})["score"]
    artifacts.report_conversion(path, answer, trees.predict_proba(asked)[:, 1])
    return path


def _keep_score(model: onnx.ModelProto) -> None:
    """Name the one input `tensor` and make the second probability the one output, `score`."""
    graph = model.graph
    for node in graph.node:
        node.input[:] = ["tensor" if name == graph.input[0].name else name for name in node.input]
    graph.input[0].name = "tensor"
    graph.initializer.append(numpy_helper.from_array(np.array([1]), "anomalous"))
    graph.node.append(helper.make_node("Gather", ["probabilities", "anomalous"], ["score"], axis=1))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1]))


def _network(models: Path, readings: Array, anomaly: Array, asked: Array) -> Path:
    """Two hidden layers, with the scaling of the readings inside the graph."""
    scaler = StandardScaler().fit(readings)
    trained = MLPClassifier((16, 8), batch_size=256, random_state=SEED)
    trained.fit(scaler.transform(readings), anomaly)
    net = Network()
    centred = net.add("Sub", ["tensor", net.weight("mean", scaler.mean_)], "centred")
    scaled = net.add("Div", [centred, net.weight("scale", scaler.scale_)], "scaled")
    net.dense(scaled, trained.coefs_, trained.intercepts_, "log_odds")
    net.add("Sigmoid", ["log_odds"], "score")
    path = models / "events-mlp.onnx"
    artifacts.save_model(net.model(("tensor", [READINGS]), [("score", [1])]), path)
    answer = artifacts.run(path, {"tensor": asked})["score"]
    expected = trained.predict_proba(scaler.transform(asked))[:, 1]
    artifacts.report_conversion(path, answer, expected)
    return path


def _logistic(models: Path, readings: Array, anomaly: Array, asked: Array) -> Path:
    """One layer that absorbs the scaling, and names of its own for what goes in and out."""
    scaler = StandardScaler().fit(readings)
    trained = LogisticRegression(max_iter=300).fit(scaler.transform(readings), anomaly)
    weight = trained.coef_.T / scaler.scale_[:, None]
    bias = trained.intercept_ - scaler.mean_ @ weight
    net = Network()
    net.dense("readings", [weight], [bias], "log_odds")
    net.add("Sigmoid", ["log_odds"], "probability")
    path = models / "events-logistic.onnx"
    given = [("probability", [1]), ("log_odds", [1])]
    artifacts.save_model(net.model(("readings", [READINGS]), given), path)
    answer = artifacts.run(path, {"readings": asked})["probability"]
    expected = trained.predict_proba(scaler.transform(asked))[:, 1]
    artifacts.report_conversion(path, answer, expected)
    return path


def _quality(score: Array, champion: Array, truth: Array) -> dict[str, float]:
    alarm = score[:, 0] > 0.5
    return {
        "anomalies": int(truth.sum()),
        "found": int((alarm & (truth == 1)).sum()),
        "false alarms": int((alarm & (truth == 0)).sum()),
        "close to the champion": float((np.abs(score - champion) <= TOLERANCE).mean()),
    }
