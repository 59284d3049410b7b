"""What the Python SDK costs: a row of a DataFrame beside the bare call, and many rows in parallel.

    .venv/bin/python benchmarks/sdk.py
    .venv/bin/python benchmarks/sdk.py --rows 200000 --rounds 1    # a few seconds

Serves one model of the bike-demand example by `Client.local()`. Both parts take turns with a bare
client that sends the same bytes and throws the answers away, and the best of the rounds is told.

A row: the bare call goes by the same connection; in processor time of this process and in time of
day: on a machine with other work the first is the one to compare. Many rows: the bare client sends
batches that were written beforehand, as many at a time, to the same engine. What it reaches is the
engine's own speed; `parallel_infer` cuts, writes, reads and joins beside it.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa

from tiltyard import Client, Pipeline
from tiltyard.frames import PANDAS, Table, form_of
from tiltyard.transport import Transport

EXAMPLE = Path(__file__).parents[1] / "examples" / "bike-demand"
COLUMNS = [
    *("hour", "month", "weekday", "workingday", "holiday", "weather"),
    *("temperature", "feels_like", "humidity", "windspeed"),
]
PATH = "/pipelines/bench?dataset%5B%5D=%2A&dataset.exclude%5B%5D=metadata&dataset.separator=."
OK = 200
SECONDS = 60.0
"""Time for an answer."""

ROUNDS_OF_A_ROW = 25
CALLS = 60
TARGET_MICROSECONDS = 300
TARGET_SHARE = 0.8

Spent = tuple[float, float]
"""Seconds of the processor, and of the day."""


def best(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, Spent]:
    """Say what each took: the best of rounds in turn."""
    found = dict.fromkeys(calls, (float("inf"), float("inf")))
    for _ in range(rounds):
        for name, call in calls.items():
            day, processor = time.perf_counter(), time.process_time()
            call()
            spent = time.process_time() - processor, time.perf_counter() - day
            found[name] = min(found[name][0], spent[0]), min(found[name][1], spent[1])
    return found


def a_row(pipeline: Pipeline, engine: Transport, rows: pd.DataFrame) -> None:
    """Measure `infer` of one row."""
    one = rows.head(1)
    polar = pl.DataFrame(one.to_dict("list"))
    body, headers = PANDAS.write(one), {"Content-Type": PANDAS.content}
    calls: dict[str, Callable[[], object]] = {
        "bare": lambda: engine.post(PATH, body, headers, SECONDS),
        "pandas": lambda: pipeline.infer(one),
        "polars": lambda: pipeline.infer(polar),
    }
    found = best({name: _times(call) for name, call in calls.items()}, ROUNDS_OF_A_ROW)
    for name, spent in found.items():
        processor, day = (one / CALLS * 1e6 for one in spent)
        print(f"{name:6} {processor:8.0f} us of the processor {day:8.0f} us of the day", end="")
        above = processor - found["bare"][0] / CALLS * 1e6
        print(f"{above:+8.0f} us (target {TARGET_MICROSECONDS})" if name != "bare" else "")


def _times(call: Callable[[], object]) -> Callable[[], object]:
    return lambda: [call() for _ in range(CALLS)] and None


def many_rows(
    pipeline: Pipeline, engine: Transport, table: Table, sizes: argparse.Namespace
) -> None:
    """Measure `parallel_infer` beside a client that has its batches ready."""
    form = form_of(table)
    assert form  # noqa: S101 - for the types
    headers = {"Content-Type": form.content, "Accept": form.content}
    starts = range(0, form.rows(table), sizes.batch)
    bodies = [form.write(form.cut(table, start, start + sizes.batch)) for start in starts]

    def send(body: bytes) -> None:
        answer = engine.post(PATH, body, headers, SECONDS)
        if answer.status != OK:
            raise SystemExit(f"the engine answered {answer.status}: {answer.body[:200]!r}")

    def bare() -> None:
        with ThreadPoolExecutor(sizes.parallel) as threads:
            list(threads.map(send, bodies))

    def asked() -> None:
        answers = asyncio.run(
            pipeline.parallel_infer(
                table, batch_size=sizes.batch, timeout=SECONDS, num_parallel=sizes.parallel
            )
        )
        names = getattr(answers, "column_names", None) or list(answers.columns)
        if form.rows(answers) != form.rows(table) or "error" in names:
            raise SystemExit("parallel_infer lost rows")

    found = best({"bare": bare, "parallel_infer": asked}, sizes.rounds)
    kind = type(table).__module__.partition(".")[0]
    for name, (processor, day) in found.items():
        speed = form.rows(table) / day
        print(
            f"{kind:7} {name:14} {speed:12,.0f} rows a second, {processor:5.1f} s of this process"
        )
    share = found["bare"][1] / found["parallel_infer"][1]
    print(f"{kind:7} parallel_infer at {share:.0%} of the engine's own (target {TARGET_SHARE:.0%})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000, help="of an Arrow table")
    parser.add_argument("--json-rows", type=int, default=50_000, help="of a DataFrame")
    parser.add_argument("--batch", type=int, default=20_000, help="rows of a request")
    parser.add_argument("--parallel", type=int, default=2, help="requests at a time")
    parser.add_argument("--rounds", type=int, default=3)
    sizes = parser.parse_args()
    inputs = [
        {"name": "features", "from": "X", "type": "float32", "shape": [10], "columns": COLUMNS}
    ]
    outputs = [{"name": "bikers", "from": "variable", "type": "float32", "shape": [1]}]
    with tempfile.TemporaryDirectory() as folder, Client.local(folder, tell=lambda _: None) as ty:
        model = ty.upload_model("gb", EXAMPLE / "models/bike-gb.onnx", "onnx", inputs, outputs)
        pipeline = ty.build_pipeline("bench").add_model_step(model).deploy()
        rows = pd.DataFrame(json.loads((EXAMPLE / "held-out.json").read_bytes()))[COLUMNS]
        whole = pd.concat([rows] * (max(sizes.rows, sizes.json_rows) // len(rows) + 1))
        place = ty.get_current_workspace().place
        with place.engine("bench", sizes.parallel) as engine:
            a_row(pipeline, engine, rows)
            table = pa.Table.from_pandas(whole[: sizes.rows], preserve_index=False)
            many_rows(pipeline, engine, table, sizes)
            if sizes.json_rows:
                many_rows(pipeline, engine, whole[: sizes.json_rows], sizes)


if __name__ == "__main__":
    main()
