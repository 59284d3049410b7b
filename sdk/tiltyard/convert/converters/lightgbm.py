"""LightGBM: its own text files, and pickles of its scikit-learn interface."""

from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import onnxmltools
from onnxmltools.convert.common.data_types import FloatTensorType

from . import tables
from .base import Conversion, Fault, Rows
from .pickles import unpickled
from .trees import exact_attributes, free_rows
from .xgboost import named


def convert(path: Path, rows: Rows) -> Conversion:
    """Convert a booster, or the scikit-learn model around one."""
    return from_model(_load(path), rows)


def from_model(model: Any, rows: Rows) -> Conversion:  # noqa: ANN401 - a library without types
    """Convert a model that is in memory."""
    booster = model if isinstance(model, lightgbm.Booster) else model.booster_
    names = booster.feature_name()
    plain = names == [f"Column_{n}" for n in range(len(names))]
    objective = str(booster.dump_model(num_iteration=1).get("objective", "none")).split()[0]
    features = tables.matrix(rows, len(names), None if plain else names, _splits(booster, names))
    taken = [(tables.FEATURES, FloatTensorType([None, len(names)]))]
    with exact_attributes():
        graph = onnxmltools.convert_lightgbm(model, initial_types=taken, zipmap=False)
    outputs = named(graph, _answers(model, booster, objective, features), objective)
    columns = {} if plain else {tables.FEATURES: names}
    return Conversion(free_rows(graph), {tables.FEATURES: features}, outputs, columns)


def _load(path: Path) -> Any:  # noqa: ANN401 - a library without types
    if path.read_bytes()[:4] != b"tree":
        return unpickled(path)
    try:
        return lightgbm.Booster(model_file=path, params={"verbose": -1})
    except lightgbm.basic.LightGBMError as error:
        raise Fault(f"{path} cannot be read by LightGBM {lightgbm.__version__}") from error


def _splits(booster: Any, names: list[str]) -> tables.Landmarks:  # noqa: ANN401 - likewise
    splits: dict[int, list[float]] = {}
    table = booster.trees_to_dataframe() if booster.num_trees() else None
    if table is None:
        return splits
    for name, kind, threshold in zip(
        table["split_feature"], table["decision_type"], table["threshold"], strict=True
    ):
        if kind == "<=":
            splits.setdefault(names.index(name), []).append(float(threshold))
        elif kind == "==":
            raise Fault(
                f"column {name!r} is categorical, which the converter does not express rightly:"
                " train on one-hot columns"
            )
    return splits


def _answers(model: Any, booster: Any, objective: str, features: Any) -> list[Any]:  # noqa: ANN401 - likewise
    """Label and probabilities of a classifier, the value of anything else."""
    answer = booster.predict(features.astype(np.float64))
    if objective in ("binary", "cross_entropy"):
        probabilities = np.stack([1 - answer, answer], 1)
    elif objective in ("multiclass", "multiclassova"):
        probabilities = answer
    else:
        return [answer]
    best = probabilities.argmax(axis=1)
    return [model.classes_[best] if hasattr(model, "classes_") else best, probabilities]
