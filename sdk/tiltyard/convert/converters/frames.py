"""Estimators that were trained on a DataFrame: their columns, and what is worth trying in each."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline

from . import tables
from .base import MADE_UP, Array, Arrays, Fault, Record, Rows, chance, column, tensor

Part = tuple[Any, list[int]]
"""An estimator, and which columns it sees."""


def names(model: Any) -> list[str] | None:  # noqa: ANN401 - any estimator
    """Columns that it was trained on; None where they had no names."""
    found = getattr(model, "feature_names_in_", None)
    return None if found is None else [str(name) for name in found]


def chooses_columns(model: Any) -> bool:  # noqa: ANN401 - any estimator
    """Whether parts of it take some columns by name, so that each must be an input."""
    return any(isinstance(part, ColumnTransformer) for part, _ in parts(model))


def parts(model: Any) -> Iterator[Part]:  # noqa: ANN401 - any estimator
    """Walk estimators that see columns as they came in, with the numbers of these columns."""
    yield from _parts(model, list(range(int(getattr(model, "n_features_in_", 0)))))


def _parts(model: Any, columns: list[int]) -> Iterator[Part]:  # noqa: ANN401 - any estimator
    yield model, columns
    if isinstance(model, Pipeline):
        yield from _parts(model.steps[0][1], columns)
    elif isinstance(model, ColumnTransformer):
        known = names(model) or []
        for _, part, chosen in model.transformers_:
            if not isinstance(part, str):
                yield from _parts(part, [columns[n] for n in _numbers(chosen, known, len(columns))])
    for part in np.ravel(np.asarray(getattr(model, "estimators_", ()), object)):
        yield from _parts(part[1] if isinstance(part, tuple) else part, columns)


def _numbers(chosen: Any, known: list[str], count: int) -> list[int]:  # noqa: ANN401 - many ways to choose
    if isinstance(chosen, str):
        return [known.index(chosen)]
    if isinstance(chosen, slice):
        if isinstance(chosen.start, str) or isinstance(chosen.stop, str):
            first = known.index(chosen.start) if chosen.start else 0
            last = known.index(chosen.stop) if chosen.stop else count - 1
            return list(range(first, last + 1))
        return list(range(count))[chosen]
    if isinstance(chosen, int):
        return [chosen]
    if np.asarray(chosen).dtype == bool:
        return [int(n) for n in np.flatnonzero(chosen)]
    return [known.index(one) if isinstance(one, str) else int(one) for one in chosen]


def landmarks(model: Any) -> tables.Landmarks:  # noqa: ANN401 - any estimator
    """Values around which columns of numbers are worth trying."""
    marks: dict[int, list[float]] = {}
    for part, columns in parts(model):
        for number, value in _marks(part):
            if number < len(columns):
                marks.setdefault(columns[number], []).append(float(value))
    return marks


def _marks(part: Any) -> Iterator[tuple[int, float]]:  # noqa: ANN401 - any estimator
    tree = getattr(part, "tree_", None)
    if tree is not None:
        inner = tree.children_left != -1
        yield from zip(tree.feature[inner], tree.threshold[inner], strict=True)
    centre, scale = getattr(part, "mean_", None), getattr(part, "scale_", None)
    if (
        centre is not None
        and scale is not None
        and np.ndim(centre) == 1
        and len(centre) == len(scale)
    ):
        yield from enumerate(centre - 2 * scale)
        yield from enumerate(centre + 2 * scale)
    for bound in ("data_min_", "data_max_", "statistics_"):
        found = getattr(part, bound, None)
        if found is not None and np.asarray(found).dtype.kind == "f":
            yield from enumerate(found)
    for row in getattr(part, "_predictors", ()):
        for predictor in row:
            nodes = predictor.nodes[predictor.nodes["is_leaf"] == 0]
            yield from zip(nodes["feature_idx"], nodes["num_threshold"], strict=True)


def columns(model: Any, known: list[str], rows: Rows) -> Arrays:  # noqa: ANN401 - any estimator
    """Sample rows, one array `[rows, 1]` a column: numbers as float32, categories as they are.

    Raises:
        Fault: a given row does not fit.

    """
    choices = _choices(model)
    marks = landmarks(model)
    found = {}
    for number, name in enumerate(known):
        if rows is None:
            values = _made_up(number, choices, marks)
        else:
            values = _given(rows, name, choices.get(number))
        found[name] = values.reshape(-1, 1)
    return found


def reads_texts(model: Any) -> bool:  # noqa: ANN401 - any estimator
    """Whether it takes one text a row, by way of a vectorizer."""
    return any(getattr(part, "vocabulary_", None) for part, _ in parts(model))


def texts(model: Any, name: str, rows: Rows) -> Array:  # noqa: ANN401 - any estimator
    """Sample rows of texts, given or made up of words that are known.

    Raises:
        Fault: a given row has no text.

    """
    if rows is not None:
        return tensor(rows, name, object, (1,))
    words = np.array(
        next(sorted(part.vocabulary_) for part, _ in parts(model) if hasattr(part, "vocabulary_"))
    )
    drawn = words[chance().integers(0, len(words), (MADE_UP, 5))]
    return np.array([[" ".join(row)] for row in drawn], object)


def _choices(model: Any) -> dict[int, Array]:  # noqa: ANN401 - any estimator
    """Values that columns of categories or words may have."""
    found: dict[int, Array] = {}
    for part, numbers in parts(model):
        categories = getattr(part, "categories_", None)
        if categories is not None:
            for number, known in zip(numbers, categories, strict=True):
                found[number] = np.array([one for one in known if one is not None and one == one])  # noqa: PLR0124 - NaN
        words = getattr(part, "vocabulary_", None)
        if words and numbers:
            found[numbers[0]] = np.array(sorted(words))
    return found


def _made_up(number: int, choices: dict[int, Array], marks: tables.Landmarks) -> Array:
    if number not in choices:
        return tables.around(marks.get(number, ()), number)
    known = choices[number]
    drawn = known[chance().integers(0, len(known), (number + 1) * MADE_UP)][-MADE_UP:]
    return _typed(drawn)


def _typed(values: Array) -> Array:
    if values.dtype.kind in "OUS":
        return values.astype(object)
    return values.astype(np.int64 if values.dtype.kind in "iub" else np.float32)


def _given(rows: Sequence[Record], name: str, choices: Array | None) -> Array:
    values = column(rows, name)
    text = choices is not None and choices.dtype.kind in "OUS"
    try:
        if text:
            return np.array([str(value) for value in values], object)
        numbers = [np.nan if value is None else float(value) for value in values]
        return np.array(numbers, np.float32 if choices is None else _typed(choices).dtype)
    except (TypeError, ValueError) as error:
        raise Fault(f"column {name!r} of --rows holds what is no number: {error}") from error
