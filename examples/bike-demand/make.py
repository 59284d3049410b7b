"""Train the two regressors of the bike-demand example and set its held-out hours apart.

Run by `examples/build.py`, which pins what the bytes depend on.
"""

import csv
from pathlib import Path
from typing import Any

import artifacts
import numpy as np
import wheel_data
from skl2onnx import to_onnx
from sklearn.base import RegressorMixin
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor

PACKAGE, MEMBER = "islp", "ISLP/data/Bikeshare.csv"
SEED = 2011
HELD_OUT_DAYS = 85
RIDERS = 1000

COLUMNS = {
    "hour": "hr",
    "month": "mnth",
    "weekday": "weekday",
    "workingday": "workingday",
    "holiday": "holiday",
    "weather": "weathersit",
    "temperature": "temp",
    "feels_like": "atemp",
    "humidity": "hum",
    "windspeed": "windspeed",
}
"""A record's column: the table's. The order is that of the models' input."""

MONTHS = ["Jan", "Feb", "March", "April", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec"]
WEATHER = ["clear", "cloudy/misty", "light rain/snow", "heavy rain/snow"]
CODES = {word: n for words in (MONTHS, WEATHER) for n, word in enumerate(words, start=1)}
"""The table spells months and weather; the records number them from 1."""

REGRESSORS: dict[str, RegressorMixin] = {
    "bike-gb": GradientBoostingRegressor(
        n_estimators=120, max_depth=5, learning_rate=0.1, subsample=0.8, random_state=SEED
    ),
    "bike-rf": RandomForestRegressor(
        n_estimators=20, max_leaf_nodes=150, max_features=0.7, n_jobs=1, random_state=SEED
    ),
}
"""Sizes are bounded by what may be committed: 300 KB a model."""


def make(folder: Path) -> dict[str, Any]:
    """Write the example's models and held-out rows; return what `build.json` says of them."""
    table = wheel_data.read(PACKAGE, MEMBER)
    hours = list(csv.DictReader(table.decode().splitlines()))
    features = np.array([list(_record(hour).values()) for hour in hours], np.float32)
    bikers = np.array([int(hour["bikers"]) for hour in hours])
    held_out = _held_out(hours)

    chance = np.random.default_rng(SEED)
    riders = chance.integers(1, RIDERS, size=held_out.sum(), endpoint=True)
    rows = [_record(hours[i]) for i in np.flatnonzero(held_out)]
    records = [{"rider": f"rider-{n}"} | row for n, row in zip(riders, rows, strict=True)]
    artifacts.save_rows(records, folder / "held-out.json")
    artifacts.save_rows(bikers[held_out].tolist(), folder / "truth.json")

    always = np.abs(bikers[held_out] - bikers[~held_out].mean()).mean()
    quality = {"always the mean": {"mean absolute error": float(always)}}
    for name, regressor in REGRESSORS.items():
        regressor.fit(features[~held_out], bikers[~held_out])
        path = folder / "models" / f"{name}.onnx"
        model = to_onnx(regressor, features[:1], target_opset=artifacts.OPSETS)
        artifacts.save_model(model, path)
        answer = artifacts.run(path, {"X": features[held_out]})["variable"]
        artifacts.report_conversion(path, answer, regressor.predict(features[held_out]))
        error = float(np.abs(answer.ravel() - bikers[held_out]).mean())
        quality[name] = {"mean absolute error": error}
    package = f"{PACKAGE} {wheel_data.version(PACKAGE)}"
    return {"data": artifacts.source(package, MEMBER, table, len(hours)), "quality": quality}


def _record(hour: dict[str, str]) -> dict[str, int | float]:
    """One hour as callers post it, without the rider."""
    return {ours: _number(hour[theirs]) for ours, theirs in COLUMNS.items()}


def _number(text: str) -> int | float:
    """A cell of the table; whole numbers stay whole, so that the records read well."""
    if text in CODES:
        return CODES[text]
    value = float(text)
    return int(value) if value.is_integer() else value


def _held_out(hours: list[dict[str, str]]) -> np.ndarray[Any, Any]:
    """Which rows to keep from training: whole days, since an hour says much about the next."""
    days = np.array([int(hour["day"]) for hour in hours])
    chosen = np.random.default_rng(SEED).choice(np.unique(days), HELD_OUT_DAYS, replace=False)
    return np.isin(days, chosen)
