"""Manifests of models that lie in the examples, for tests that serve them."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from makers import Document

MODELS = Path(__file__).parents[2] / "examples" / "bike-demand" / "models"
COLUMNS = [
    "hour",
    "month",
    "weekday",
    "workingday",
    "holiday",
    "weather",
    "temperature",
    "feels_like",
    "humidity",
    "windspeed",
]


def bike_record(**fields: object) -> Document:
    """Give a record that the bike models take."""
    return dict.fromkeys(COLUMNS, 0.5) | fields


def bike_document(
    weights: Sequence[float] = (1, 1), *, name: str = "bikes", key: str | None = None
) -> Document:
    """Give a Pipeline that splits between the two bike models."""
    variants = [
        {"model": model, "weight": weight}
        for model, weight in zip(("gb", "rf"), weights, strict=True)
    ]
    split: Document = {"variants": variants}
    if key:
        split["hashKey"] = {"field": key}
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Pipeline",
        "metadata": {"name": name},
        "spec": {
            "models": [bike_model("gb"), bike_model("rf")],
            "steps": [{"name": "demand", "split": split}],
        },
    }


def bike_model(name: str, uri: str | None = None) -> Document:
    """Give the entry of a bike model, or of another file in its place."""
    features = {"name": "features", "from": "X", "type": "float32", "shape": [10]}
    return {
        "name": name,
        "framework": "onnx",
        "source": {"uri": uri or (MODELS / f"bike-{name}.onnx").as_uri()},
        "inputs": [features | {"columns": COLUMNS}],
        "outputs": [{"name": "bikers", "from": "variable", "type": "float32", "shape": [1]}],
    }


def write(path: Path, *documents: Document) -> Path:
    """Write documents as one file, at once: a reader sees the old ones or the new ones."""
    fresh = path.with_suffix(".new")
    fresh.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return fresh.replace(path)
