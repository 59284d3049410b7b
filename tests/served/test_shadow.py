"""Challengers that do their worst: no answer changes, and all they were offered is counted."""

import json
import os
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bare_engines import Compiled, Engine, Workshop, running
from loopback import Answer
from records import exchange, post, row
from served_models import TROUBLE, failing, hanging, not_a_number, scaled, slow
from tiltyard_api.figures import Confusion, VariantFigures
from tiltyard_core.experiments.shadow import beside
from tiltyard_engine.metrics import SIDES
from waiting import eventually

pytestmark = pytest.mark.served

CHAMPION_FACTOR = 2.0
CHALLENGERS = {
    "fine": scaled(2.5),
    "failing": failing(),
    "hanging": hanging(),
    "nan": not_a_number(),
    "slow": slow(20_000),
}
SAMPLED = 0.25


def shadow(*challengers: str, **more: object) -> list[dict[str, object]]:
    """Give a shadow of the champion."""
    listed = [{"model": name} for name in challengers]
    return [{"name": "score", "shadow": {"champion": "champion", "challengers": listed, **more}}]


def compile_shadow(
    workshop: Workshop, steps: list[dict[str, object]], name: str = "shadowed"
) -> Compiled:
    """Compile a Pipeline of a champion and all challengers, of which steps use some."""
    used = {n: graph for n, graph in CHALLENGERS.items() if n in json.dumps(steps)}
    return workshop.compile(name, {"champion": scaled(CHAMPION_FACTOR), **used}, steps)


def rows(number: int) -> list[bytes]:
    """Give requests of which every second makes the bad challengers bad."""
    return [post([{"x": TROUBLE + n if n % 2 else n}], "shadowed") for n in range(number)]


def comparable(answer: Answer) -> tuple[bytes, dict[str, str]]:
    """Give an answer without what differs from one request or plan to the next."""
    assert answer.status == 200
    text = re.sub(rb'"time":\d+', b"", answer.body)
    text = re.sub(rb'"elapsed":\[[\d,]+\]', b"", text)
    text = re.sub(rb'"(inference_id|pipeline_version)":"[^"]+"', b"", text)
    varying = ("Date", "X-Tiltyard-Inference-Id", "Content-Length")
    return text, {name: text for name, text in answer.headers.items() if name not in varying}


def balance(engine: Engine, challenger: str) -> tuple[float, float]:
    """Give what a challenger was offered, and what became of it."""
    samples = engine.samples()

    def total(name: str) -> float:
        return sum(
            value
            for (sample, labels), value in samples.items()
            if sample == f"tiltyard_shadow_{name}_total" and ("variant", challenger) in labels
        )

    return total("offered"), total("run") + total("dropped") + total("failed")


def at_rest(engine: Engine, challenger: str, offered: int) -> None:
    """Wait until all that a challenger was offered is accounted for."""
    eventually(lambda: balance(engine, challenger), lambda got: got == (offered, offered))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[bytes, dict[str, str]]]:
    """What is answered beside a challenger that does nothing wrong."""
    workshop = Workshop(tmp_path_factory.mktemp("reference"))
    pipeline = compile_shadow(workshop, shadow("fine"))
    with running(workshop, pipeline) as engine:
        got = [comparable(answer) for answer in exchange([engine.connect()], rows(600))]
        at_rest(engine, "fine", 600)
    return got


@pytest.mark.parametrize("challenger", ["failing", "hanging", "nan", "slow"])
def test_no_answer_changes_whatever_a_challenger_does(
    tmp_path: Path, reference: list[tuple[bytes, dict[str, str]]], challenger: str
) -> None:
    workshop = Workshop(tmp_path)
    # On a busy machine the lowest priority waits long: what is to be seen running has time.
    timeout = "500ms" if challenger == "hanging" else "10s"
    pipeline = compile_shadow(workshop, shadow(challenger, timeout=timeout))
    with running(workshop, pipeline) as engine:
        got = [comparable(answer) for answer in exchange([engine.connect()], rows(600))]
        assert got == reference
        at_rest(engine, challenger, 600)
        assert engine.ask("/readyz")[0] == 200, "readiness never depends on a challenger"
        assert engine.metric("tiltyard_requests_total", code="200") == 600
        assert engine.metric("tiltyard_variant_errors_total", variant="champion") == 0
        seen = {
            "failing": engine.metric("tiltyard_shadow_failed_total", reason="ModelFailed"),
            "hanging": engine.metric("tiltyard_shadow_failed_total", reason="ModelTimeout"),
            "nan": engine.metric("tiltyard_nonfinite_outputs_total", variant="nan"),
            "slow": engine.metric("tiltyard_shadow_run_total", variant="slow"),
        }
        assert seen[challenger] > 0


def test_a_killed_process_of_challengers_takes_no_answer_with_it(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = compile_shadow(workshop, shadow("fine", "hanging", timeout="3s"))
    with running(workshop, pipeline) as engine:
        client = engine.connect()
        for _ in range(3):
            eventually(lambda: len(engine.children()), lambda number: number == 3)
            victim = engine.latest_child()
            assert all(a.status == 200 for a in exchange([client], rows(50)))
            os.kill(victim, signal.SIGKILL)
            assert all(a.status == 200 for a in exchange([client], rows(50)))
            eventually(engine.children, lambda there, gone=victim: gone not in there)
        for challenger in ("fine", "hanging"):
            at_rest(engine, challenger, 300)
        assert engine.metric("tiltyard_shadow_dropped_total", reason="crashed") > 0
        assert engine.ask("/readyz")[0] == 200


def test_what_waits_for_a_challenger_at_the_end_is_counted_as_dropped(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    pipeline = compile_shadow(workshop, shadow("hanging", timeout="500ms"))
    flags = ["--state", str(tmp_path / "state")]
    with running(workshop, pipeline, flags=flags) as engine:
        assert all(a.status == 200 for a in exchange([engine.connect()], rows(100)))
        assert engine.end() == 0
    with running(workshop, pipeline, flags=flags) as engine:
        assert balance(engine, "hanging") == (100, 100)
        assert engine.metric("tiltyard_shadow_dropped_total", reason="shutdown") > 0


def test_a_challenger_sees_the_share_that_it_is_sampled_for(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    steps = shadow()
    listed = [
        {"model": "fine"},
        {"model": "nan", "sample": SAMPLED},
        {"model": "slow", "sample": 0},
    ]
    steps[0]["shadow"] = {"champion": "champion", "challengers": listed}
    pipeline = compile_shadow(workshop, steps)
    sent = 4_000
    with running(workshop, pipeline) as engine:
        asked = (post([{"x": n}], "shadowed") for n in range(sent))
        assert all(a.status == 200 for a in exchange([engine.connect()], asked))
        at_rest(engine, "fine", sent)
        at_rest(engine, "slow", 0)
        offered = balance(engine, "nan")[0]
    five_sigma = 5 * (sent * SAMPLED * (1 - SAMPLED)) ** 0.5
    assert abs(offered - sent * SAMPLED) < five_sigma


def test_rows_are_compared_with_the_champions(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    steps = shadow("fine", compare={"output": "y", "tolerance": 10})
    pipeline = compile_shadow(workshop, steps)
    with running(workshop, pipeline) as engine:
        client = engine.connect()
        client.send(post([{"x": n} for n in range(100)], "shadowed"))
        assert len(client.answer().json) == 100
        at_rest(engine, "fine", 1)
        compared = {
            result: engine.metric("tiltyard_shadow_compared_total", result=result)
            for result in ("match", "mismatch")
        }
    assert compared == {"match": 21, "mismatch": 79}, "0.5 x differs by 10 at x = 20"


WHO = {
    (True, True): "both_above",
    (False, False): "both_below",
    (True, False): "false_negatives",
    (False, True): "false_positives",
}


def ledger(values: list[float], factor: float) -> tuple[Confusion, int]:
    """Count by hand who says yes from 100 on, and what is within 10 of the champion's."""
    pairs = [(CHAMPION_FACTOR * value, factor * value) for value in values]
    sides = Counter(WHO[one >= 100, other >= 100] for one, other in pairs)
    counts = {name: sides[name] for name in WHO.values()}
    return Confusion(**counts), sum(abs(one - other) <= 10 for one, other in pairs)


@pytest.mark.parametrize("outputs", ["log", "respond"])
def test_who_says_yes_is_counted_to_the_row(tmp_path: Path, outputs: str) -> None:
    """One challenger says yes too soon, one too late, beside each of two workers."""
    factors = {"soon": 2.5, "late": 1.0}
    compare: dict[str, object] = {"output": "y", "tolerance": 10, "threshold": 100}
    if outputs == "log":
        compare["keep"] = 7
    more = {"budget": "20s"} if outputs == "respond" else {}
    steps = shadow(*factors, outputs=outputs, compare=compare, timeout="20s", **more)
    models = {name: scaled(factor) for name, factor in factors.items()}
    workshop = Workshop(tmp_path)
    pipeline = workshop.compile("shadowed", {"champion": scaled(CHAMPION_FACTOR), **models}, steps)
    values = [n / 2 for n in range(-20, 280)]
    asked = [post([{"x": x} for x in values[n : n + 3]], "shadowed") for n in range(0, 300, 3)]
    with running(workshop, pipeline, workers=2) as engine:
        connections = [engine.connect() for _ in range(4)]
        assert all(answer.status == 200 for answer in exchange(connections, asked))
        for name, factor in factors.items():
            at_rest(engine, name, len(asked))
            (step,) = engine.status()["steps"]
            told = VariantFigures.model_validate_json(json.dumps(step["variants"][name]))
            sides, matched = ledger(values, factor)
            assert told.confusion == sides
            assert (told.compared, told.matched) == (300, matched)
            metric = "tiltyard_shadow_confusion_total"
            counted = [engine.metric(metric, variant=name, result=one) for one in SIDES]
            assert counted == list(sides.model_dump().values())
            found = beside("score", ("champion", []), (name, [told])).flips
            assert found is not None
            assert found.flips.count == sides.false_negatives + sides.false_positives > 0
            if outputs == "log":
                apart = sorted((abs(x * (CHAMPION_FACTOR - factor)) for x in values), reverse=True)
                kept = json.loads(engine.ask("/disagreements")[2])["shadowed"]["score"][name]
                assert [one["difference"] for one in kept] == apart[:7]
                for one in kept:
                    (x,) = one["inputs"]["x"]
                    assert (one["champion"], one["challenger"]) == (
                        [CHAMPION_FACTOR * x],
                        [factor * x],
                    )


def test_a_killed_process_of_challengers_takes_no_kept_disagreement_with_it(
    tmp_path: Path,
) -> None:
    workshop = Workshop(tmp_path)
    compare = {"output": "y", "keep": 3}
    pipeline = compile_shadow(workshop, shadow("fine", timeout="20s", compare=compare))
    with running(workshop, pipeline) as engine:
        client = engine.connect()

        def kept() -> list[float]:
            told = json.loads(engine.ask("/disagreements")[2])["shadowed"]["score"]["fine"]
            return [one["inputs"]["x"][0] for one in told]

        assert kept() == []
        eventually(lambda: len(engine.children()), lambda number: number == 3)
        victim = engine.latest_child()
        for given, wanted in (([1, 8, 6, 4], [8, 6, 4]), ([5, 7], [8, 7, 6])):
            client.send(post([{"x": x} for x in given], "shadowed"))
            assert client.answer().status == 200
            assert eventually(kept, lambda got, wanted=wanted: got == wanted) == wanted
            if victim in engine.children():
                os.kill(victim, signal.SIGKILL)
                eventually(engine.children, lambda there: victim not in there and len(there) == 3)
                assert kept() == wanted


def respond(workshop: Workshop, **more: object) -> Compiled:
    """Compile a shadow that answers, with every challenger."""
    return compile_shadow(
        workshop, shadow(*CHALLENGERS, outputs="respond", timeout="200ms", **more)
    )


def test_challengers_that_answer_have_columns_whatever_they_do(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    steps = shadow(*CHALLENGERS, outputs="respond", timeout="200ms", budget="5s")
    with running(workshop, compile_shadow(workshop, steps)) as engine:
        client = engine.connect()
        client.send(post([{"x": 4}], "shadowed"))
        calm = row(client.answer())
        client.send(post([{"x": TROUBLE}], "shadowed"))
        troubled = row(client.answer())
        assert outs(calm) == {name: [10.0] if name == "fine" else [4.0] for name in CHALLENGERS}
        assert outs(troubled) == {
            "fine": [2.5 * TROUBLE],
            "failing": None,
            "hanging": None,
            "nan": [None],
            "slow": [TROUBLE],
        }
        assert calm["out"]["y"] == [4 * CHAMPION_FACTOR]
        assert troubled["out"]["y"] == [TROUBLE * CHAMPION_FACTOR]
        for name in CHALLENGERS:
            at_rest(engine, name, 2)


def test_an_answer_waits_for_the_budget_and_no_longer(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    steps = shadow("fine", "hanging", outputs="respond", timeout="30s", budget="300ms")
    with running(workshop, compile_shadow(workshop, steps)) as engine:
        client = engine.connect()
        start = time.monotonic()
        client.send(post([{"x": TROUBLE}], "shadowed"))
        only = row(client.answer())
        assert 0.3 <= time.monotonic() - start < 20
        assert only["out_hanging"] == {"y": None}
        assert only["out_fine"] == {"y": [2.5 * TROUBLE]}
        start = time.monotonic()
        assert engine.end() == 0
        assert time.monotonic() - start < 20, "an end does not wait for who hangs"


def test_a_challenger_that_was_sampled_out_is_null_in_the_answer(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path)
    steps = shadow()
    listed = [{"model": "fine", "sample": 0}]
    steps[0]["shadow"] = {"champion": "champion", "challengers": listed, "outputs": "respond"}
    with running(workshop, compile_shadow(workshop, steps)) as engine:
        client = engine.connect()
        client.send(post([{"x": 4}, {"x": 5}], "shadowed"))
        assert [one["out_fine"] for one in client.answer().json] == [{"y": None}] * 2


def outs(row: dict[str, Any]) -> dict[str, Any]:
    """Give what each challenger answered."""
    return {name: row[f"out_{name}"]["y"] for name in CHALLENGERS}
