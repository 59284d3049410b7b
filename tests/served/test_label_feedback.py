"""Labels that come later, from the answers to the report: what the client computes from its own."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import urllib3
import yaml
from scipy import stats

from engines import EXAMPLES, Served, serving
from manifests import write
from programs import tiltyard

pytestmark = pytest.mark.served

EXAMPLE = EXAMPLES / "rare-events"
ROWS, THRESHOLD = 800, 0.02
FIGURES = ("accuracy", "precision", "recall", "f1", "rocAuc")

Rows = list[tuple[float, int]]


def manifest(folder: Path) -> Path:
    """Write a split of two models that raise the alarm, with what was true after all."""
    document = yaml.safe_load((EXAMPLE / "pipeline.yaml").read_text())
    spec = document["spec"]
    spec["models"] = spec["models"][:2]
    for model in spec["models"]:
        model["source"]["uri"] = f"file:{EXAMPLE / model['source']['uri'].removeprefix('file:')}"
    variants = [{"model": model["name"], "weight": 1} for model in spec["models"]]
    spec["steps"] = [{"name": "alarm", "split": {"variants": variants}}]
    metric = {"name": "anomaly", "kind": "label", "score": "alarm.score", "threshold": THRESHOLD}
    spec["experiment"] = {"metrics": [metric], "minUnits": 100}
    return write(folder / "alarm.yaml", document)


def answered(served: Served) -> dict[str, Rows]:
    """Ask row by row, and tell the labels; gives scores and labels by variant."""
    records = json.loads((EXAMPLE / "held-out.json").read_text())[:ROWS]
    labels = json.loads((EXAMPLE / "truth.json").read_text())[:ROWS]
    found, pieces = defaultdict(list), []
    with urllib3.PoolManager(timeout=30) as pool:
        for record, label in zip(records, labels, strict=True):
            (row,) = pool.request("POST", f"{served.url}/infer", json=[record]).json()
            about = row["metadata"]
            pieces.append(
                {"inferenceId": about["inference_id"], "metric": "anomaly", "value": label}
            )
            found[about["variants"]["alarm"]].append((row["out"]["score"][0], label))
        taken = pool.request("POST", f"{served.url}/feedback", json=pieces)
    assert taken.json() == {"accepted": ROWS, "refused": []}
    return found


def offline(rows: Rows) -> dict[str, float]:
    """Compute the figures of one variant from all of its rows."""
    scores, labels = (np.array(column) for column in zip(*rows, strict=True))
    said = scores >= THRESHOLD
    tp, fp = int(np.sum(said & (labels == 1))), int(np.sum(said & (labels == 0)))
    ones = int(np.sum(labels))
    pairs = ones * (len(labels) - ones)
    return {
        "accuracy": float(np.mean(said == labels)),
        "precision": tp / (tp + fp),
        "recall": tp / ones,
        "f1": 2 * tp / (tp + fp + ones),
        "rocAuc": stats.mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic / pairs,
    }


def test_the_report_says_of_labels_what_the_client_computes_from_its_own(tmp_path: Path) -> None:
    file = manifest(tmp_path)
    with serving(file, cache=tmp_path / "cache") as served:
        known = answered(served)
        run = tiltyard("report", file, "--url", served.management_url, "-o", "json", cache=tmp_path)
        assert run.returncode == 0, run.stderr
    told: dict[str, Any] = {
        one["variant"]: one for one in json.loads(run.stdout)["verdict"]["labels"]
    }
    assert set(told) == set(known) == {"events-gb", "events-mlp"}
    for variant, rows in known.items():
        one, expected = told[variant], offline(rows)
        assert one["values"] == len(rows)
        for figure in ("accuracy", "precision", "recall", "f1"):
            assert one[figure] == pytest.approx(expected[figure])
        assert abs(one["rocAuc"] - expected["rocAuc"]) <= one["rocAucError"] + 1e-9
        for figure in FIGURES:
            ends = one["fixedIntervals"][figure]
            assert ends["low"] <= expected[figure] <= ends["high"]
            assert ends["low"] < ends["high"]
