"""What records cost a worker, beside the same requests without; and how long it takes to read them.

    python benchmarks/records.py

Processor time in this process, the least of several rounds in which both figures take turns: what
it costs where no neighbour disturbs the caches. Requests are decoded, run and encoded, but no HTTP.
The recorder's own time is not in it: that is another process, at low priority.
"""

import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from dataplane import load

from tiltyard.records import read
from tiltyard_api.recordfiles import CLOSED, INFERENCES, STAMP
from tiltyard_core.recorded import default_records
from tiltyard_engine.call import Call
from tiltyard_engine.challengers import make_ring
from tiltyard_engine.codecs.recordscodec import RecordsCodec
from tiltyard_engine.codecs.selection import Selection
from tiltyard_engine.counters import CounterFile, Layout
from tiltyard_engine.metrics import engine_series
from tiltyard_engine.outbox import Outbox
from tiltyard_engine.pipeline import ServedPipeline
from tiltyard_engine.recording.streams import streams_of
from tiltyard_engine.recording.ways import Ways
from tiltyard_engine.sizes import Sizes
from tiltyard_engine.steps.base import Context

MANIFEST = Path(__file__).parents[1] / "examples/bike-demand/pipeline.yaml"
ROUNDS = 15
SECONDS = 0.1
TOGETHER = (64, 8, 1)
"""Requests that are handed over together: what a worker is asked in the 5 ms that it holds them."""

ROWS, HOURS, FILE_MINUTES = 10**6, 24, 5


def main() -> None:
    """Measure, and print a line a figure."""
    held_out = json.loads(MANIFEST.with_name("held-out.json").read_text())
    singles = [json.dumps([row]).encode() for row in held_out[: max(TOGETHER)]]
    for together in TOGETHER:
        one, handed = compare(singles[:together])
        load = f"one row, {together:2} in 5 ms ({together * 200:6,} a second)"
        print(f"{load}: {one:.2f} us a request, its record {handed:.2f} us")
    bulk, handed = compare([json.dumps((held_out * 2)[:1000]).encode()])
    share = 100 * handed / bulk
    print(f"1,000 rows: {bulk:.0f} us a request, its records {share:.1f} % of that")
    print(f"one hour of {ROWS:,} records: {reading():.2f} s")


def compare(bodies: list[bytes]) -> tuple[float, float]:
    """Microseconds that a request takes to decode, run and encode, and its record beside that."""
    loaded = replace(load(MANIFEST), records=default_records("file:///nowhere"))
    streams = streams_of([loaded])
    series = engine_series([loaded.plan], streams=[one.labels for one in streams])
    counters = CounterFile(Path(tempfile.mkdtemp()) / "counters", Layout(series), 1)
    block, ways = counters.blocks[0], Ways(streams, counters)
    served = ServedPipeline(loaded, block, Outbox([loaded.plan], make_ring([loaded], block)))
    recording = ways.recordings(block, 0)[loaded.plan.pipeline]
    answer = answering(served)
    calls = answer(bodies)

    def hand_over() -> None:
        for call in calls:
            recording.take(call)
        recording.flush()
        ways.workers[0].done()  # what the recorder would do

    pairs = [(measure(lambda: answer(bodies)), measure(hand_over)) for _ in range(ROUNDS)]
    return tuple(min(figures) / len(bodies) for figures in zip(*pairs, strict=True))


def answering(served: ServedPipeline) -> Callable[[list[bytes]], list[Call]]:
    """Decode, run and encode the requests of a turn."""
    codec = RecordsCodec(served.plan, "benchmark", Sizes())
    draw = partial(random.Random(1).getrandbits, 64)
    context = Context(time.perf_counter_ns, draw, watched=False)

    def answer(bodies: list[bytes]) -> list[Call]:
        taken = [codec.read(body) for body in bodies]
        calls = [
            Call(one.rows, one.tensors, one.fields, {}, inference_id="0123456789abcdef0")
            for one in taken
        ]
        served.plane.run(calls, context)
        for call, one in zip(calls, taken, strict=True):
            codec.write(call, one.sent, 0, Selection())
        return calls

    return answer


def measure(work: Callable[[], object]) -> float:
    """Microseconds of this thread's processor time that a piece of work takes."""
    times = 0
    started = time.thread_time()
    while (spent := time.thread_time() - started) < SECONDS:
        work()
        times += 1
    return spent / times * 1e6


def reading() -> float:
    """Seconds to read one hour of a day of records."""
    with tempfile.TemporaryDirectory() as folder:
        start = datetime(2026, 11, 20, tzinfo=UTC)
        files = HOURS * 60 // FILE_MINUTES
        for number in range(files):
            write(Path(folder), start + timedelta(minutes=FILE_MINUTES * number), ROWS // files)
        took = []
        for _ in range(3):
            since = start + timedelta(hours=7, minutes=30)
            began = time.perf_counter()
            table = read(folder, "p", since=since, until=since + timedelta(hours=1))
            took.append(time.perf_counter() - began)
            if abs(table.num_rows * HOURS / ROWS - 1) > 0.05:
                raise ValueError(f"{table.num_rows} rows are no hour of {ROWS}")
        return statistics.median(took)


def write(folder: Path, begun: datetime, rows: int) -> None:
    """Write a file as a recorder does: a dozen inputs, an output, and what stands beside them."""
    at = int(begun.timestamp() * 1e6)
    times = np.sort(np.random.default_rng(at).integers(at, at + FILE_MINUTES * 60 * 10**6, rows))
    ids = [f"{at:x}{number:x}" for number in range(rows)]
    columns = {f"in.c{n}": np.random.default_rng(n).random(rows, np.float32) for n in range(12)}
    table = pa.table(
        {
            "time": pa.array(times).cast(pa.timestamp("us", "UTC")),
            **columns,
            "out.y": pa.array(columns["in.c0"]),
            "anomaly.count": np.zeros(rows, np.uint32),
            "metadata.inference_id": ids,
            "metadata.request": ids,
            "metadata.row": np.zeros(rows, np.int32),
            "metadata.variants.demand": ["bike-gb"] * rows,
            "metadata.error": pa.nulls(rows, pa.string()),
        }
    )
    place = folder / "p" / INFERENCES / f"date={begun:%Y-%m-%d}" / f"hour={begun:%H}"
    place.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, place / f"{begun.strftime(STAMP)}-x{CLOSED}", compression="zstd")


if __name__ == "__main__":
    main()
