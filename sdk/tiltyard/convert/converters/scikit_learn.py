"""scikit-learn: estimators and pipelines out of joblib or pickle."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skl2onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
from sklearn.base import BaseEstimator, is_classifier
from sklearn.utils.validation import check_is_fitted

from . import frames, lightgbm, tables, xgboost
from .base import ML_OPSET, OPSET, Array, Arrays, Conversion, Fault, Rows
from .gradients import boosted_steps
from .pickles import unpickled
from .trees import exact_attributes, free_rows, rounded_down

TEXT = "text"
"""Name of the one input of a pipeline that begins with a vectorizer."""

LOCALE = "C.UTF-8"
"""How letters become lower case: there is no other locale in small images."""

GRAPH_TYPES = {"f": FloatTensorType, "i": Int64TensorType, "O": StringTensorType}


def convert(path: Path, rows: Rows) -> Conversion:
    """Convert what was pickled, whichever of the three libraries of tables it is of."""
    model = unpickled(path)
    home = type(model).__module__.partition(".")[0]
    if home in ("xgboost", "lightgbm"):
        boosted = xgboost.from_model if home == "xgboost" else lightgbm.from_model
        return boosted(model, rows)
    if not isinstance(model, BaseEstimator):
        raise Fault(f"{path} holds a {type(model).__name__}: pickle the fitted estimator itself")
    try:
        check_is_fitted(model)
    except Exception as error:
        raise Fault(
            f"{path} holds a model that was not fitted: call fit before you save"
        ) from error
    return _converted(model, rows)


def _converted(model: Any, rows: Rows) -> Conversion:  # noqa: ANN401 - any estimator
    boosted_steps()
    _exact_histograms(model)
    names = frames.names(model)
    if names is not None and frames.chooses_columns(model):
        inputs = frames.columns(model, names, rows)
        asked: Any = pd.DataFrame({name: array[:, 0] for name, array in inputs.items()})
        columns: dict[str, list[str]] = {}
    elif frames.reads_texts(model):
        inputs = {TEXT: frames.texts(model, TEXT, rows)}
        asked, columns = inputs[TEXT][:, 0], {}
    else:
        features = tables.matrix(rows, _count(model), names, frames.landmarks(model))
        inputs = {tables.FEATURES: features}
        exact = features.astype(np.float64)  # as it was trained on
        asked = exact if names is None else pd.DataFrame(exact, columns=names)
        columns = {} if names is None else {tables.FEATURES: names}
    graph = _graph(model, inputs)
    outputs = _answers(model, asked, [output.name for output in graph.graph.output])
    return Conversion(free_rows(graph), inputs, outputs, columns)


def _exact_histograms(model: Any) -> None:  # noqa: ANN401 - any estimator
    """Round thresholds down in place, which changes no answer to float32, as `trees` explains."""
    for part, _ in frames.parts(model):
        for predictors in getattr(part, "_predictors", ()):
            for predictor in predictors:
                thresholds = predictor.nodes["num_threshold"]
                predictor.nodes["num_threshold"] = rounded_down(thresholds.tolist())


def _count(model: Any) -> int:  # noqa: ANN401 - any estimator
    count = getattr(model, "n_features_in_", None)
    if count is None:
        name = type(model).__name__
        raise Fault(
            f"{name} does not say how many columns it takes:"
            " train it on a DataFrame, by a ColumnTransformer that names its columns"
        )
    return int(count)


def _graph(model: Any, inputs: Arrays) -> Any:  # noqa: ANN401 - any estimator, a graph
    types = [
        (name, GRAPH_TYPES[array.dtype.kind]([None, array.shape[1]]))
        for name, array in inputs.items()
    ]
    options: dict[int, dict[str, object]] = {
        id(part): {"locale": LOCALE}
        for part, _ in frames.parts(model)
        if hasattr(part, "vocabulary_")
    }
    if is_classifier(model):
        options[id(model)] = {"zipmap": False}
    try:
        with exact_attributes():
            return skl2onnx.convert_sklearn(
                model,
                initial_types=types,
                options=options,
                target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
            )
    except (MissingConverter, MissingShapeCalculator) as error:
        raise Fault(_unsupported(error)) from error


def _unsupported(error: Exception) -> str:
    first = str(error).split("'")
    name = first[1].rpartition(".")[2] if len(first) > 1 else str(error).splitlines()[0]
    return (
        f"{name} has no counterpart in ONNX: replace it by an estimator that skl2onnx lists as"
        " supported, or serve the model as a Python function"
    )


def _answers(model: Any, asked: Any, names: list[str]) -> Arrays:  # noqa: ANN401 - any estimator
    """What the original says under the names that the converter gives its outputs."""
    if is_classifier(model):
        known = {"label": model.predict, "probabilities": _scores(model)}
    elif hasattr(model, "predict"):
        known = {"variable": model.predict, "label": model.predict}
        if hasattr(model, "transform"):
            known["scores"] = model.transform
        if hasattr(model, "decision_function"):
            known["scores"] = model.decision_function
    else:
        known = {"variable": model.transform}
    outputs = {}
    for name in names:
        if name not in known and len(names) > 1:
            raise Fault(f"nothing is known to compare the output {name!r} with: report it")
        answer = known.get(name, known.get("variable", model.predict))(asked)
        outputs[name] = answer.toarray() if hasattr(answer, "toarray") else np.asarray(answer)
    return outputs


def _scores(model: Any) -> Callable[[Any], Array]:  # noqa: ANN401 - any estimator
    if hasattr(model, "predict_proba"):
        return model.predict_proba  # type: ignore[no-any-return]  # of a library without types

    def both(asked: Any) -> Array:  # noqa: ANN401 - a table
        """Scores of all classes; the libraries differ in how they tell those of two."""
        scores = np.asarray(model.decision_function(asked))
        return np.stack([-scores, scores], 1) if scores.ndim == 1 else scores

    return both
