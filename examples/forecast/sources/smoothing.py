"""Forecast a week: a level that follows the last days, times what each weekday is worth."""

import json
from pathlib import Path

import numpy as np
from mac.types import InferenceData

WEEK = 7
FITTED: dict[str, float] = {}


def load(path: str) -> None:
    """Read how quickly the level follows."""
    FITTED.update(json.loads(Path(path, "fitted.json").read_text()))


def process_data(input_data: InferenceData) -> InferenceData:
    """Give the next seven days of every series of daily counts."""
    forecast = np.array([_forecast(series) for series in input_data["count"]])
    return {"forecast": forecast, "weekly_average": forecast.mean(axis=1)}


def _forecast(series: np.ndarray) -> np.ndarray:
    days = np.arange(len(series)) - len(series)  # the first day to come is day 0
    mean = max(series.mean(), 1.0)
    worth = np.ones(WEEK)
    for weekday in range(WEEK):
        counts = series[days % WEEK == weekday]
        # Few weeks say little of a weekday: drawn towards an ordinary day.
        pull = FITTED["pull"]
        worth[weekday] = (counts.sum() / mean + pull) / (len(counts) + pull)
    level = mean
    for count, day in zip(series, days, strict=True):
        level += FITTED["follow"] * (count / worth[day % WEEK] - level)
    return np.rint(level * worth).clip(0).astype(np.int32)
