"""Measure the engine beside its peers: `make bench`.

Everything runs on this machine in one go: the server on one core, the load on another. The README
beside this file says how to read the figures.
"""

import argparse
import contextlib
import datetime as dt
import fcntl
import importlib.metadata
import json
import os
import platform
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bodies import make_bodies
from cases import Bench, measure_rows, measure_shadow, measure_split, measure_start
from formats import measure_beside, measure_formats, measure_grpc
from models import make_models
from peers.environments import locked_version
from report import publish, render
from results import Results, Sample
from servers import CORES, SERVER_CORE
from shadow_latency import ALONE, CHALLENGERS
from shadow_latency import measure as measure_pace

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / ".cache" / "bench"
README = HERE / "README.md"
TOOLS = {"wrk": "wrk", "taskset": "util-linux", "setpriv": "util-linux"}


def measure_inside(bench: Bench) -> None:
    """Time the floors and the data plane in a process of their own."""
    script = HERE / "inprocess.py"
    command = [
        *("setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(SERVER_CORE)),
        *(sys.executable, str(script), str(bench.folder), "--rounds", str(3 * bench.rounds)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        bench.results.fail(f"in process: {done.stderr.strip().splitlines()[-1]}")
        return
    found = json.loads(done.stdout)
    bench.results.samples += [Sample(**sample) for sample in found["samples"]]
    for failure in found["failures"]:
        bench.results.fail(failure)


def measure_latency(bench: Bench) -> None:
    """Time a champion with and without challengers at a fifth of its load, a core to spare."""
    with bench.surviving("latency"):
        _, rate = measure_pace(ALONE, bench.folder, bench.seconds, None)
        for number in range(bench.rounds):
            for name in random.sample((ALONE, *CHALLENGERS), 1 + len(CHALLENGERS)):
                found, _ = measure_pace(name, bench.folder, bench.seconds, rate)
                figures = {"p50_us": found.p50, "p99_us": found.p99}
                bench.results.add("latency", name, number, figures)


PARTS = {
    "inside": measure_inside,
    "start": measure_start,
    "rows": measure_rows,
    "split": measure_split,
    "shadow": measure_shadow,
    "latency": measure_latency,
    "formats": measure_formats,
    "beside": measure_beside,
    "grpc": measure_grpc,
}


def parse(words: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help=f"parts to measure, with commas: {','.join(PARTS)}")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each part (5)")
    parser.add_argument("--seconds", type=int, default=2, help="length of a point (2)")
    parser.add_argument("--quick", action="store_true", help="one round: a look, no proof")
    parser.add_argument("--output", type=Path, default=FOLDER / "results.json")
    parser.add_argument("--publish", action="store_true", help="write the tables into the README")
    parser.add_argument("--from-results", action="store_true", help="measure nothing, read OUTPUT")
    arguments = parser.parse_args(words)
    arguments.parts = arguments.only.split(",") if arguments.only else list(PARTS)
    if unknown := set(arguments.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    if arguments.quick:
        arguments.rounds = 1
    return arguments


def check_machine() -> None:
    """Stop at once where nothing could be measured, and say what is missing."""
    for tool, package in TOOLS.items():
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is missing: install the package {package}")
    if len(CORES) < 2:
        sys.exit("two cores are needed: one for the server, one for the load")


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Refuse to run beside another run: each would measure the other."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another benchmark is running in this checkout")
        yield


def about(rounds: int, seconds: int) -> dict[str, str]:
    """Say under which circumstances the figures came to be."""
    return {
        "Measured on": dt.datetime.now(dt.UTC).date().isoformat(),
        "cores": f"{len(CORES)} ({platform.machine()})",
        "Python": platform.python_version(),
        "onnxruntime": importlib.metadata.version("onnxruntime"),
        "MLServer": locked_version("mlserver"),
        "mosec": locked_version("mosec"),
        "KServe": locked_version("kserve"),
        "pytriton": locked_version("nvidia-pytriton", "pytriton"),
        "rounds": str(rounds),
        "seconds a point": str(seconds),
    }


def measure(arguments: argparse.Namespace) -> Results:
    """Make models, manifests and bodies, and measure the parts that were asked for."""
    check_machine()
    make_models(FOLDER)
    make_bodies(FOLDER / "bodies")
    for manifest in (HERE / "pipelines").glob("*.yaml"):
        shutil.copy(manifest, FOLDER)
    results = Results(about(arguments.rounds, arguments.seconds))
    bench = Bench(FOLDER, arguments.rounds, arguments.seconds, results)
    started = time.monotonic()
    for part in arguments.parts:
        begun = time.monotonic()
        PARTS[part](bench)
        print(f"{part} took {time.monotonic() - begun:.0f} s\n", flush=True)
        results.save(arguments.output)
    print(f"took {time.monotonic() - started:.0f} s, kept in {os.path.relpath(arguments.output)}\n")
    return results


def main() -> None:
    """Measure and print; end with 1 when something did not work (a missed target is a finding)."""
    arguments = parse(sys.argv[1:])
    for number in (signal.SIGTERM, signal.SIGINT):  # leave by the way out that ends the servers
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    if arguments.from_results:
        results = Results.load(arguments.output)
    else:
        with alone():
            results = measure(arguments)
    print(render(results))
    if arguments.publish:
        publish(results, README)
    sys.exit(1 if results.failures else 0)


if __name__ == "__main__":
    main()
