import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import graphs
from planes import compiled, opened, shadow, split
from tiltyard_engine.counters import BUCKETS, CounterFile, Layout, Series
from tiltyard_engine.exposition import registry
from tiltyard_engine.metrics import METRICS, engine_series

HITS, SECONDS = Series("hits", ("a",)), Series("seconds", (), histogram=True)
LAYOUT = Layout([HITS, SECONDS, Series("hits", ("b",))])

WRITER = """
import sys
from pathlib import Path
from test_counters import CounterFile, HITS, LAYOUT, SECONDS
counters = CounterFile(Path(sys.argv[1]), LAYOUT, 2)
block = counters.blocks[1]
hits, seconds = block.offset("hits", "a"), block.offset("seconds", histogram=True)
for n in range(1, 10**9):
    block.words[hits] += 1
    block.observe(seconds, 0.003)
    if n == 1000:
        print("there", flush=True)
"""


def test_a_killed_process_loses_no_count_and_a_restarted_one_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "counters"
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{here}:{here.parents[1] / 'support'}"}
    command = [sys.executable, "-W", "ignore", "-c", WRITER, str(path)]
    writer = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    with writer.stdout:
        assert writer.stdout.readline() == "there\n"
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    again = CounterFile(path, LAYOUT, 2)
    before = again.total(HITS)
    assert before >= 1000
    observed = again.total_histogram(SECONDS)
    assert observed.cumulative[-1] in (before - 1, before)
    again.blocks[1].words[again.blocks[1].offset("hits", "a")] += 1
    assert CounterFile(path, LAYOUT, 2).total(HITS) == before + 1


@pytest.mark.parametrize(
    ("layout", "workers", "kept"),
    [
        (LAYOUT, 2, 5),
        (LAYOUT, 3, 0),
        (LAYOUT, 1, 0),
        (Layout([SECONDS, HITS, Series("hits", ("b",))]), 2, 0),
        (Layout([HITS]), 2, 0),
    ],
    ids=["the same", "more workers", "fewer workers", "another order", "another plan"],
)
def test_only_the_same_plan_and_workers_go_on_counting(
    tmp_path: Path, layout: Layout, workers: int, kept: int
) -> None:
    path = tmp_path / "counters"
    first = CounterFile(path, LAYOUT, 2)
    first.blocks[0].words[0] = 5
    assert CounterFile(path, layout, workers).total(HITS) == kept
    first.blocks[0].words[0] = 6
    assert first.total(HITS) == 6
    assert [one.name for one in tmp_path.iterdir()] == ["counters"]


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 100_000])
def test_a_file_of_something_else_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "counters"
    path.write_bytes(content)
    assert CounterFile(path, LAYOUT, 2).total(HITS) == 0


def test_blocks_add_up_and_do_not_touch(tmp_path: Path) -> None:
    counters = CounterFile(tmp_path / "counters", LAYOUT, 3)
    for number, block in enumerate(counters.blocks):
        for place in range(len(block.words)):
            block.words[place] += 10**number
    assert [counters.total(series) for series in (HITS, Series("hits", ("b",)))] == [111, 111]
    assert counters.total_histogram(SECONDS).cumulative[0] == 111
    for block in counters.blocks:
        block.words[0] = 2**64 - 1
    assert counters.blocks[0].read(HITS) == 2**64 - 1


def test_histograms_agree_with_numpy(tmp_path: Path) -> None:
    block = CounterFile(tmp_path / "counters", LAYOUT, 1).blocks[0]
    random = np.random.default_rng(1)
    seconds = np.concatenate([random.lognormal(-6, 3, 5000), BUCKETS, [0.0, 1e6]])
    for one in seconds:
        block.observe(block.offset("seconds", histogram=True), float(one))
    value = block.read_histogram(SECONDS)
    expected = [int((seconds <= bound).sum()) for bound in (*BUCKETS, np.inf)]
    assert list(value.cumulative) == expected
    assert value.sum == pytest.approx(seconds.sum(), rel=1e-6)


def test_what_is_exposed_reads_back_as_what_was_counted(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2), "c": graphs.logarithm()}
    watch = {**shadow("a", "c"), "inputs": {"x": "request.x"}}
    with opened(tmp_path, models, [split("a", "b", field="k", missing="first"), watch]) as plane:
        for key in (0.1, 0.9, 0.9):
            plane.ask([{"x": -1, "k": key}])
        plane.ask([{"x": 1}, {"x": 2}])
        plane.ask([{"x": "no"}])
        plane.settle("c")
        text = generate_latest(registry(plane.counters, [plane.plan])).decode()
    samples = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def value(name: str, **labels: str) -> float:
        everything = {"pipeline": "tested", **labels}
        return samples[f"tiltyard_{name}", frozenset(everything.items())]

    assert value("requests_total", protocol="records", code="200") == 4
    assert value("requests_total", protocol="records", code="400") == 1
    assert value("rows_total") == 5
    assert value("request_seconds_count") == 4
    assert value("request_seconds_bucket", le="+Inf") == 4
    assert value("variant_requests_total", step="price", variant="a") == 2
    assert value("variant_rows_total", step="price", variant="a") == 3
    assert value("variant_requests_total", step="price", variant="b") == 2
    assert value("variant_seconds_count", step="price", variant="b") == 2
    assert value("variant_weight", step="price", variant="a") == 0.5
    assert value("hash_key_missing_total", step="price") == 1
    assert value("shadow_offered_total", step="watch", variant="c") == 4
    assert value("shadow_run_total", step="watch", variant="c") == 4
    assert value("nonfinite_outputs_total", step="watch", variant="c") == 3
    assert value("routing_revision") == 1


def test_every_series_is_bounded_by_the_plan_and_every_metric_is_exposed(tmp_path: Path) -> None:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2)}
    steps = [split("a", "b"), {**shadow("a", "b"), "inputs": {"x": "request.x"}}]
    with opened(tmp_path, models, steps) as plane:
        collected = registry(plane.counters, [plane.plan])
        before = generate_latest(collected).decode()
        for n in range(20):
            headers = {"X-Tiltyard-Inference-Id": f"id{n}", "X-Request-Id": f"r{n}"}
            plane.ask([{"x": n, f"column-{n}": "text"}], f"dataset[]=out_{n}", headers)
            plane.ask([{f"y{n}": n}])
        after = generate_latest(collected).decode()
    names = [line.rpartition(" ")[0] for line in before.splitlines() if not line.startswith("#")]
    assert names == [
        line.rpartition(" ")[0] for line in after.splitlines() if not line.startswith("#")
    ]
    exposed = {line.split()[2] for line in before.splitlines() if line.startswith("# TYPE")}
    assert exposed >= set(METRICS)


def test_the_layout_is_the_plans_alone(tmp_path: Path) -> None:
    plan, _, _ = compiled(tmp_path, {"a": graphs.linear()})
    one, other = Layout(engine_series([plan])), Layout(engine_series([plan]))
    assert one.identity == other.identity
    assert len(set(one)) == len(engine_series([plan]))
