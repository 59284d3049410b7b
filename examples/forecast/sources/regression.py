"""Forecast a week: each day is a weighted sum of the last four weeks, fitted on other weeks."""

import json
from pathlib import Path

import numpy as np
from mac.types import InferenceData

FITTED: dict[str, np.ndarray] = {}


def load(path: str) -> None:
    """Read the weights: a row for each day to come."""
    text = Path(path, "fitted.json").read_text()
    FITTED.update({name: np.array(values) for name, values in json.loads(text).items()})


def process_data(input_data: InferenceData) -> InferenceData:
    """Give the next seven days of every series of daily counts."""
    forecast = np.array([_forecast(series) for series in input_data["count"]])
    return {"forecast": forecast, "weekly_average": forecast.mean(axis=1)}


def _forecast(series: np.ndarray) -> np.ndarray:
    weights = FITTED["weights"]
    days = weights.shape[1]
    mean = max(series.mean(), 1.0)
    # A shorter series is led in by its own mean.
    last = np.concatenate([np.full(max(days - len(series), 0), mean), series[-days:]])
    relative = FITTED["constant"] + weights @ (last / mean - 1)
    return np.rint(mean * relative).clip(0).astype(np.int32)
