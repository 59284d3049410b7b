"""XGBoost: its own JSON and UBJ files, and pickles of its scikit-learn interface."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxmltools
import xgboost
from onnxmltools.convert.common.data_types import FloatTensorType

from . import tables
from .base import Arrays, Conversion, Fault, Rows
from .pickles import unpickled
from .trees import exact_attributes, free_rows

UNSUPPORTED = ("gblinear",)


def convert(path: Path, rows: Rows) -> Conversion:
    """Convert a booster, or the scikit-learn model around one."""
    return from_model(_load(path), rows)


def from_model(model: Any, rows: Rows) -> Conversion:  # noqa: ANN401 - a library without types
    """Convert a model that is in memory."""
    booster = model if isinstance(model, xgboost.Booster) else model.get_booster()
    config = json.loads(booster.save_config())["learner"]
    kind = config["gradient_booster"]["name"]
    if kind in UNSUPPORTED:
        raise Fault(f"the booster {kind!r} cannot be converted: train with gbtree")
    names = booster.feature_names
    _no_categories(booster)
    count = booster.num_features()
    features = tables.matrix(rows, count, names, _splits(booster, names))
    booster.feature_names = None  # the converter takes none but f0, f1 and so on
    objective = config["objective"]["name"]
    answers = _answers(booster, objective, features)
    taken = [(tables.FEATURES, FloatTensorType([None, count]))]
    with exact_attributes():
        graph = onnxmltools.convert_xgboost(model, initial_types=taken)
    columns = {} if names is None else {tables.FEATURES: list(names)}
    outputs = named(graph, answers, objective)
    return Conversion(free_rows(graph), {tables.FEATURES: features}, outputs, columns)


def named(graph: Any, answers: list[Any], objective: str) -> Arrays:  # noqa: ANN401 - a message of protobuf
    """Give the original's answers the names of the graph's outputs, which have the same order."""
    names = [output.name for output in graph.graph.output]
    if len(names) != len(answers):
        raise Fault(
            f"the converter takes the objective {objective!r} for another one: train with a"
            " usual one, such as reg:squarederror, binary:logistic or multi:softprob"
        )
    return dict(zip(names, answers, strict=True))


def _load(path: Path) -> Any:  # noqa: ANN401 - a library without types
    if path.read_bytes()[:1] != b"{":
        return unpickled(path)
    booster = xgboost.Booster()
    try:
        booster.load_model(bytearray(path.read_bytes()))
    except xgboost.core.XGBoostError as error:
        raise Fault(f"{path} cannot be read by XGBoost {xgboost.__version__}") from error
    return booster


def _no_categories(booster: Any) -> None:  # noqa: ANN401 - a library without types
    kinds = booster.feature_types or []
    if "c" in kinds:
        where = (booster.feature_names or list(map(str, range(len(kinds)))))[kinds.index("c")]
        raise Fault(
            f"column {where!r} is categorical, which the converter cannot express:"
            " train on one-hot columns"
        )


def _splits(booster: Any, names: list[str] | None) -> tables.Landmarks:  # noqa: ANN401 - likewise
    splits: dict[int, list[float]] = {}
    for tree in booster.get_dump(dump_format="json"):
        waiting = [json.loads(tree)]
        while waiting:
            node = waiting.pop()
            if "split" in node:
                name = node["split"]
                number = names.index(name) if names else int(name[1:])
                splits.setdefault(number, []).append(float(node.get("split_condition", 0.5)))
                waiting += node["children"]
    return splits


def _answers(booster: Any, objective: str, features: Any) -> list[Any]:  # noqa: ANN401 - likewise
    """Label and probabilities of a classifier, the value of anything else."""
    answer = booster.predict(xgboost.DMatrix(features))
    if objective == "binary:logistic":
        return [(answer > 0.5).astype(np.int64), np.stack([1 - answer, answer], 1)]
    if objective in ("multi:softprob", "multi:softmax"):
        margin = booster.predict(xgboost.DMatrix(features), output_margin=True)
        power = np.exp(margin - margin.max(axis=1, keepdims=True))
        return [margin.argmax(axis=1), power / power.sum(axis=1, keepdims=True)]
    return [answer]
