"""What the command line says of canaries, and what it does where there is no cluster."""

import importlib
import json
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from makers import make_document
from programs import tiltyard
from ramps import canary
from tiltyard.canary import Word, addressed
from tiltyard.cluster import read_status
from tiltyard.failure import Failure
from tiltyard.status import picture

Object = dict[str, Any]

STAGE = {
    "id": "4f2a91c0-2",
    "number": 2,
    "of": 3,
    "weight": 25,
    "entered": "2026-11-21T12:00:00Z",
    "since": "2026-11-21T12:00:01Z",
    "revision": "r",
    "pair": "p",
}
LATCH = {
    "at": "2026-11-21T12:00:09Z",
    "stage": "4f2a91c0-2",
    "by": "engine",
    "guard": "row",
    "message": "20 units in a row failed",
    "pod": "swap-7",
}
EVIDENCE = {
    "guard": "errors",
    "candidate": 9,
    "both": 12,
    "logEvidence": 3.456,
    "limit": 7.78,
    "saturated": True,
}
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Serving",
    "message": "2 pods serve",
    "lastTransitionTime": "2026-11-21T12:00:00Z",
}


def pipeline(*steps: Object) -> Object:
    status = {
        "observedGeneration": 1,
        "phase": "Running",
        "conditions": [READY],
        "routing": {"revision": 7, "synced": "1/2", "laggards": ["swap-7"]},
        "steps": list(steps),
    }
    head = {"namespace": "shop", "name": "prices", "generation": 1}
    return {"metadata": head, "status": status}


def step(name: str = "swap", **fields: Any) -> Object:
    variants = [
        {"model": "new", "weight": 25, "effective": 0.25, "units": 40, "errorShare": 0.0125},
        {"model": "old", "weight": 75, "effective": 0.75, "requests": 1_200_000, "p99": 0.0123},
    ]
    return {"name": name, "kind": "canary", "variants": variants, "stage": STAGE, **fields}


def shown(found: Object) -> list[list[str]]:
    """Words of each line that is shown."""
    console = Console(width=200, record=True, file=StringIO())
    console.print(picture(found))
    return [line.split() for line in console.export_text().splitlines()]


def test_a_status_shows_pods_shares_counts_and_evidence() -> None:
    lines = shown(pipeline(step(evidence=[EVIDENCE], latched=LATCH)))
    text = [" ".join(words) for words in lines]
    assert text[:3] == [
        "shop/prices: Running",
        "Ready True, Serving: 2 pods serve",
        "routing revision 7 on 1/2 pods, not yet: swap-7",
    ]
    assert "swap new 25 25 % 40 1.25 %" in text
    assert "swap old 75 75 % 1200000 12.3 ms" in text
    assert "failed 9 12 3.46 7.78 saturated" in text
    assert any(line.startswith("canary swap: stage 2 of 3, 4f2a91c0-2") for line in text)
    assert any("rolled back by engine: 20 units in a row failed" in line for line in text)


def test_a_pipeline_that_nobody_looked_at_has_a_status_too() -> None:
    found = {"metadata": {"namespace": "shop", "name": "new", "generation": 1}}
    assert ["shop/new:", "Pending"] in shown(found)


def test_a_status_that_a_newer_operator_wrote_is_told_so() -> None:
    found = pipeline(step())
    found["status"]["replicas"] = "many"
    with pytest.raises(Failure, match=r"of another version of Tiltyard \(status.replicas: "):
        read_status(found)


@pytest.mark.parametrize(
    ("word", "name", "steps", "fault"),
    [
        ("promote", None, [], "has no canary that has begun"),
        ("promote", None, [step(stage=None)], "has no canary that has begun"),
        ("abort", "other", [step()], "no canary 'other'"),
        ("abort", None, [step("a"), step("b")], "say by --step, or step=, which: a or b"),
        ("promote", None, [step(latched=LATCH)], "is rolled back already (20 units in a row"),
        ("abort", None, [step(latched=LATCH)], "is rolled back already"),
        ("promote", None, [step(stage=STAGE | {"complete": True})], "is at its end"),
    ],
)
def test_what_cannot_be_said_to_a_canary_is_refused(
    word: Word, name: str | None, steps: list[Object], fault: str
) -> None:
    found = read_status(pipeline(*steps)).steps or ()
    with pytest.raises(Failure, match=fault.replace("(", r"\(")):
        addressed(word, "prices", name, found)


def test_a_word_names_the_stage_that_the_canary_is_in() -> None:
    found = read_status(pipeline(step("a"), step("b"))).steps or ()
    assert addressed("promote", "prices", "b", found).id == "4f2a91c0-2"
    done = read_status(pipeline(step(stage=STAGE | {"complete": True}))).steps or ()
    assert addressed("abort", "prices", None, done).number == 2


def config(server: str) -> str:
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {"server": server}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "the kubeconfig cannot be used"),
        ("", "the kubeconfig cannot be used"),
        ("[]", "the kubeconfig cannot be used"),
        (config("http://127.0.0.1:1"), "the API server at http://127.0.0.1:1 does not answer"),
    ],
)
def test_without_a_cluster_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, said: str
) -> None:
    file = tmp_path / "config"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(file))
    done = tiltyard("status", "prices", "-n", "shop")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert said in line


def test_where_the_client_is_missing_it_is_said_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "tiltyard.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(Failure, match=r"pip install 'tiltyard\[sdk,cluster\]'"):
        importlib.import_module("tiltyard.cluster")


SIMULATE = ("simulate", "--rate", 200, "--errors", "1%", "--candidate-errors", "20%", "--runs", 5)


def test_a_bad_candidate_is_rolled_back_in_every_simulated_canary() -> None:
    first, again = (tiltyard(*SIMULATE, "-o", "json").stdout for _ in range(2))
    assert first == again
    told = json.loads(first)
    (only,) = told["outcomes"]
    assert (only["outcome"], only["runs"], only["share"]) == ("RolledBack", 5, 1)
    assert 0 < only["seconds"]["p5"] <= only["seconds"]["p50"] <= only["seconds"]["p95"] < 3600
    shown = tiltyard(*SIMULATE).stdout
    assert "rolled back" in shown
    assert "100 %" in shown


def test_the_canary_of_a_manifest_is_played(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(yaml.safe_dump(canary({"steps": [{"weight": 50, "hold": "1m"}]})))
    done = tiltyard(*SIMULATE[:-2], "--runs", 1, file, "-o", "yaml")
    (only,) = yaml.safe_load(done.stdout)["outcomes"]
    assert only["outcome"] == "RolledBack"
    assert only["seconds"]["p50"] <= 30
    file.write_text(yaml.safe_dump(make_document()))
    done = tiltyard(*SIMULATE, file)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{file} has no canary: name a manifest with one, or give options alone\n"
