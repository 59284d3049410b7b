"""An experiment from its first request to its report: served, answered, fed back, judged."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml

from engines import EXAMPLES, Served, serving
from manifests import write
from programs import tiltyard
from waiting import eventually

pytestmark = pytest.mark.served

EXAMPLE = EXAMPLES / "bike-demand"
METRIC = {"name": "off", "kind": "value", "better": "lower"}
"""By how many bikes an answer was off."""


def manifest(folder: Path) -> Path:
    document = yaml.safe_load((EXAMPLE / "pipeline.yaml").read_text())
    for model in document["spec"]["models"]:
        model["source"]["uri"] = f"file:{EXAMPLE / model['source']['uri'].removeprefix('file:')}"
    document["spec"]["experiment"] = {"metrics": [METRIC], "minUnits": 100}
    return write(folder / "bikes.yaml", document)


def tell(served: Served, outcomes: list[tuple[str, float]]) -> None:
    """Send feedback as those do who learn later what was true."""
    every = [{"inferenceId": one, "metric": "off", "value": value} for one, value in outcomes]
    for start in range(0, len(every), 1000):
        body = json.dumps(every[start : start + 1000]).encode()
        typed = {"Content-Type": "application/json"}
        with urlopen(Request(f"{served.url}/feedback", body, typed), timeout=60) as answer:
            said = json.load(answer)
        assert said == {"accepted": len(every[start : start + 1000]), "refused": []}


def outcomes(served: Served) -> dict[str, list[tuple[str, float]]]:
    """Ask for all held-out hours; by variant, the ids of answers and how far off each was."""
    rows = json.loads((EXAMPLE / "held-out.json").read_text())
    truth = json.loads((EXAMPLE / "truth.json").read_text())
    found = defaultdict(list)
    for answer, true in zip(served.infer(rows), truth, strict=True):
        about = answer["metadata"]
        off = abs(answer["out"]["bikers"][0] - true)
        found[about["variants"]["demand"]].append((about["inference_id"], off))
    return found


def report(file: Path, served: Served, cache: Path, *options: object) -> str:
    run = tiltyard("report", file, "--url", served.management_url, *options, cache=cache)
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_true_counts_that_come_later_are_what_the_report_says(tmp_path: Path) -> None:
    file = manifest(tmp_path)
    with serving(file, "--workers", "2", cache=tmp_path) as served:
        assert "InsufficientData" in report(file, served, tmp_path)
        known = outcomes(served)
        for part in known.values():
            tell(served, part)
        found = json.loads(report(file, served, tmp_path, "-o", "json"))
        page = tmp_path / "report.html"
        table = report(file, served, tmp_path, "--html", page)
    assert (found["pipeline"], found["step"]) == ("bike-demand", "demand")
    (row,) = found["verdict"]["comparisons"]
    means = {name: sum(off for _, off in part) / len(part) for name, part in known.items()}
    assert row["mean"] == pytest.approx(means["bike-rf"])
    assert row["controlMean"] == pytest.approx(means["bike-gb"])
    assert row["estimate"] == pytest.approx(means["bike-rf"] - means["bike-gb"])
    assert row["low"] < row["estimate"] < row["high"]
    assert row["fixedP"] < row["p"]
    assert row["method"] == "normal mixture over buckets of units"
    # a rider is answered by one model always, and comes again and again
    assert row["units"] < len(known["bike-rf"])
    # riders are drawn by their keys: the same answers, and the same verdict, on every machine
    assert (row["finding"], found["verdict"]["reason"]) == ("worse", "ControlBest")
    assert row["finding"] in table
    assert "<svg" in page.read_text() or "too few moments" in page.read_text()


def test_what_is_not_served_or_not_tried_is_said(tmp_path: Path) -> None:
    file = manifest(tmp_path)
    with serving(EXAMPLES / "digits" / "pipeline.yaml") as served:
        other = tiltyard("report", file, "--url", served.management_url)
        assert (other.returncode, "not bike-demand" in other.stderr) == (1, True)
        plain = tiltyard(
            "report", EXAMPLES / "digits" / "pipeline.yaml", "--url", served.management_url
        )
        assert plain.returncode == 1
        assert "neither an experiment nor a shadow" in plain.stderr


def test_a_shadow_is_reported_with_its_match_rate_and_the_times_of_both(tmp_path: Path) -> None:
    file = EXAMPLES / "rare-events" / "pipeline.yaml"
    with serving(file) as served:
        found = json.loads(report(file, served, tmp_path, "-o", "json"))
        first = {one["challenger"]: one for one in found["shadows"]}
        assert set(first) == {"events-mlp", "events-logistic"}
        assert first["events-mlp"]["compared"] == 0
        assert first["events-mlp"]["championTimes"]["calls"] == 0
        assert "events-mlp" in report(file, served, tmp_path)


def test_a_report_tells_of_flips_and_of_the_rows_that_are_furthest_apart(tmp_path: Path) -> None:
    example = EXAMPLES / "rare-events"
    document = yaml.safe_load((example / "pipeline.yaml").read_text())
    for model in document["spec"]["models"]:
        model["source"]["uri"] = f"file:{example / model['source']['uri'].removeprefix('file:')}"
    shadow = document["spec"]["steps"][0]["shadow"]
    shadow["challengers"] = [{"model": "events-mlp"}]
    shadow["timeout"] = "30s"
    shadow["compare"] = {"output": "score", "tolerance": 0.1, "threshold": 0.5, "keep": 4}
    file = write(tmp_path / "events.yaml", document)
    rows = json.loads((example / "held-out.json").read_text())[:200]
    with serving(file) as served:
        answers = served.infer(rows)

        def told() -> dict[str, Any]:
            (found,) = json.loads(report(file, served, tmp_path, "-o", "json"))["shadows"]
            return dict(found)

        found = eventually(told, lambda got: got["compared"] == len(rows))
        page = tmp_path / "page.html"
        assert "other than the champion" in report(file, served, tmp_path, "--html", page)
    scores = [row["out"]["score"][0] for row in answers]
    flips, worst = found["flips"], found["worst"]
    above = sum(score >= 0.5 for score in scores)
    assert flips["bothAbove"] + flips["falseNegatives"]["count"] == above
    assert flips["falseNegatives"]["of"] == above > 0
    assert flips["falsePositives"]["of"] == len(rows) - above > 0
    assert flips["flips"]["of"] == len(rows)
    assert len(worst) == min(4, found["compared"] - found["matched"]) > 0
    apart = [row["difference"] for row in worst]
    assert apart == sorted(apart, reverse=True)
    assert apart == pytest.approx([abs(row["champion"][0] - row["challenger"][0]) for row in worst])
    of = {json.dumps(row["tensor"]): score for row, score in zip(rows, scores, strict=True)}
    for row in worst:
        assert of[json.dumps([round(x) for x in row["inputs"]["tensor"]])] == row["champion"][0]
    assert "furthest apart" in page.read_text()
