"""Fit the two forecasts of daily bike hires and set the last weeks apart.

Run by `examples/build.py`, which pins what the bytes depend on. What is fitted is rounded, so that
the last bit of a sum never reaches a file.
"""

import csv
import json
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import artifacts
import numpy as np
import wheel_data

PACKAGE, MEMBER = "islp", "ISLP/data/Bikeshare.csv"
DAYS, WEEK = 28, 7
"""What a caller sends, and what comes back."""

HELD_OUT = 90
"""Last days of the year: no model has seen them."""

RIDGE = 2.0
GRID = [(follow, pull) for follow in (0.05, 0.1, 0.2, 0.3, 0.45) for pull in (0.0, 2.0, 6.0)]

Series = np.ndarray[Any, Any]
Forecast = Callable[[Series], Series]


def make(folder: Path) -> dict[str, Any]:
    """Write the example's models and held-out weeks; return what `build.json` says of them."""
    table = wheel_data.read(PACKAGE, MEMBER)
    hours = list(csv.DictReader(table.decode().splitlines()))
    counts = _daily(hours)
    known = counts[:-HELD_OUT]
    past, future = _windows(counts[-HELD_OUT - DAYS :])
    rows = [{"count": series.tolist()} for series in past]
    artifacts.save_rows(rows, folder / "held-out.json")
    artifacts.save_rows(future.tolist(), folder / "truth.json")

    last_week = past[:, -WEEK:]
    quality = {"as last week": _errors(last_week, future)}
    for name, fitted in {"smoothing": _smoothing(known), "regression": _regression(known)}.items():
        source = folder / "sources" / f"{name}.py"
        artifacts.save_archive(
            {"model.py": source.read_text(), "fitted.json": json.dumps(fitted) + "\n"},
            folder / "models" / f"{name}.zip",
        )
        quality[f"forecast-{name}"] = _errors(_run(source, fitted)(past), future)
    package = f"{PACKAGE} {wheel_data.version(PACKAGE)}"
    return {"data": artifacts.source(package, MEMBER, table, len(hours)), "quality": quality}


def _daily(hours: list[dict[str, str]]) -> Series:
    """Bikes of each day of the year."""
    days = np.array([int(hour["day"]) for hour in hours])
    bikers = np.array([int(hour["bikers"]) for hour in hours])
    return np.bincount(days, bikers)[1:].astype(int)


def _windows(counts: Series) -> tuple[Series, Series]:
    """Every stretch of four weeks, and the week behind it."""
    starts = range(len(counts) - DAYS - WEEK + 1)
    past = np.array([counts[start : start + DAYS] for start in starts])
    future = np.array([counts[start + DAYS : start + DAYS + WEEK] for start in starts])
    return past, future


def _errors(forecast: Series, truth: Series) -> dict[str, float]:
    return {"mean absolute error": float(np.abs(forecast - truth).mean())}


def _smoothing(known: Series) -> dict[str, float]:
    """Choose how quickly the level follows by what would have been right so far."""
    past, future = _windows(known)
    source = Path(__file__).parent / "sources" / "smoothing.py"

    def error(follow: float, pull: float) -> float:
        forecast = _run(source, {"follow": follow, "pull": pull})(past)
        return _errors(forecast, future)["mean absolute error"]

    follow, pull = min(GRID, key=lambda choice: error(*choice))
    return {"follow": follow, "pull": pull}


def _regression(known: Series) -> dict[str, Any]:
    """Fit the weights of the last days by ridge regression, all relative to a window's mean."""
    past, future = _windows(known)
    mean = past.mean(axis=1, keepdims=True)
    x, y = past / mean - 1, future / mean
    constant = y.mean(axis=0)
    weights = np.linalg.solve(x.T @ x + RIDGE * np.eye(DAYS), x.T @ (y - constant)).T
    return {"constant": constant.round(4).tolist(), "weights": weights.round(4).tolist()}


def _run(source: Path, fitted: dict[str, Any]) -> Forecast:
    """Take a model's own function, as a worker would load it."""
    mac = types.ModuleType("mac.types")
    mac.__dict__["InferenceData"] = dict
    sys.modules.setdefault("mac", types.ModuleType("mac"))
    sys.modules.setdefault("mac.types", mac)
    module = types.ModuleType(source.stem)
    exec(source.read_text(), module.__dict__)  # noqa: S102 - our own file
    values = {name: np.array(v) if isinstance(v, list) else v for name, v in fitted.items()}
    module.__dict__["FITTED"].update(values)
    return lambda past: module.__dict__["process_data"]({"count": past})["forecast"]
