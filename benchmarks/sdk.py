"""What the Python SDK costs: a row of a DataFrame beside the bare call, and many rows in parallel.

    .venv/bin/python benchmarks/sdk.py

Serves one model of the bike-demand example by `Client.local()`. The bare call sends the same bytes
by the same connection. Of rounds that take turns the best is told, in processor time of this
process and in time of day: on a machine with other work the first is the one to compare.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from tiltyard import Client
from tiltyard.frames import PANDAS

EXAMPLE = Path(__file__).parents[1] / "examples" / "bike-demand"
COLUMNS = [
    *("hour", "month", "weekday", "workingday", "holiday", "weather"),
    *("temperature", "feels_like", "humidity", "windspeed"),
]
ROUNDS = 7
CALLS = 200
ROWS = 300_000
BATCH = 20_000
TARGET_MICROSECONDS = 300
TARGET_SHARE = 0.8


def best(calls: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Microseconds of a call, of the processor and of the day: the best of rounds in turn."""
    found = {name: (float("inf"), float("inf")) for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            day, processor = time.perf_counter(), time.process_time()
            for _ in range(CALLS):
                call()
            spent = time.process_time() - processor, time.perf_counter() - day
            found[name] = tuple(  # type: ignore[assignment] # both have two
                min(pair)
                for pair in zip(found[name], (s / CALLS * 1e6 for s in spent), strict=True)
            )
    return found


def main() -> None:
    """Measure and print."""
    inputs = [
        {"name": "features", "from": "X", "type": "float32", "shape": [10], "columns": COLUMNS}
    ]
    outputs = [{"name": "bikers", "from": "variable", "type": "float32", "shape": [1]}]
    with tempfile.TemporaryDirectory() as folder, Client.local(folder, tell=lambda _: None) as ty:
        model = ty.upload_model("gb", EXAMPLE / "models/bike-gb.onnx", "onnx", inputs, outputs)
        pipeline = ty.build_pipeline("bench").add_model_step(model).deploy()
        rows = pd.DataFrame(json.loads((EXAMPLE / "held-out.json").read_bytes()))[COLUMNS]
        one = rows.head(1)
        body, headers = PANDAS.write(one), {"Content-Type": PANDAS.content}
        path = (
            "/pipelines/bench?dataset%5B%5D=%2A&dataset.exclude%5B%5D=metadata&dataset.separator=."
        )
        place = ty.get_current_workspace().place
        with place.engine("bench", 1) as engine:
            found = best(
                {
                    "bare": lambda: engine.post(path, body, headers, 15),
                    "infer": lambda: pipeline.infer(one),
                }
            )
        for name, (processor, day) in found.items():
            print(f"{name:6} {processor:8.0f} us of the processor {day:8.0f} us of the day")
        above = found["infer"][0] - found["bare"][0]
        print(f"infer adds {above:.0f} us of the processor (target {TARGET_MICROSECONDS})")

        table = pa.Table.from_pandas(pd.concat([rows] * (ROWS // len(rows) + 1))[:ROWS])
        part = table.slice(0, BATCH)
        day = time.perf_counter()
        for _ in range(ROWS // BATCH):
            pipeline.infer(part, timeout=60)
        alone = time.perf_counter() - day
        day = time.perf_counter()
        asyncio.run(pipeline.parallel_infer(table, batch_size=BATCH, timeout=60, num_parallel=2))
        parallel = time.perf_counter() - day
        print(f"{ROWS} rows one batch after the other {ROWS / alone:,.0f} a second")
        print(f"{ROWS} rows by parallel_infer {ROWS / parallel:,.0f} a second")
        print(f"parallel_infer at {alone / parallel:.0%} of it (target {TARGET_SHARE:.0%})")


if __name__ == "__main__":
    main()
