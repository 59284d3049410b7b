"""Time a Python step: the function alone, behind a worker of the engine, and behind MLServer's.

`python benchmarks/python_step.py FOLDER` makes MLServer's environment in the folder on first use
and prints a table. Processor time of all processes is taken, per call, and rounds of all three are
interleaved, so that a neighbour who slows one slows all.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import guard
import numpy as np
from measure import PROC, tree
from peers import python_function
from peers.environments import environment

from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_core.signature import declared, plan_model
from tiltyard_engine.columns import Array
from tiltyard_engine.python.calls import Artifact, PythonModel
from tiltyard_engine.python.environment import known_interpreter
from tiltyard_engine.python.keeper import keeping

FUNCTION = Path(python_function.__file__)
SHAPES = {"row": (30,), "image": (480, 640, 3)}
CALLS = {"row": 2000, "image": 200}
"""Calls of a round."""

TARGET_US = {"row": 60, "image": 1500}
"""Most processor time above the function's own."""

Ask = Callable[[str, int], None]


@dataclass(frozen=True)
class Contestant:
    """One way to call the function."""

    name: str
    ask: Ask
    """Make so many calls with one kind of array."""

    processes: int
    """The process whose tree pays for them."""


def _inputs(kind: str) -> Array:
    return np.random.default_rng(1).standard_normal((1, *SHAPES[kind])).astype(np.float32)


@contextlib.contextmanager
def _in_process() -> Iterator[Contestant]:
    inputs = {kind: _inputs(kind) for kind in SHAPES}

    def ask(kind: str, calls: int) -> None:
        for _ in range(calls):
            python_function.process_data({"x": inputs[kind]})

    yield Contestant("in process", ask, os.getpid())


@contextlib.contextmanager
def _tiltyard() -> Iterator[Contestant]:
    inputs = {kind: _inputs(kind) for kind in SHAPES}
    models = {kind: _model(kind) for kind in SHAPES}

    def ask(kind: str, calls: int) -> None:
        for _ in range(calls):
            models[kind].run([inputs[kind]])

    with tempfile.TemporaryDirectory() as scratch, keeping([*models.values()], Path(scratch)):
        for kind, model in models.items():
            fault = model.wait_loaded(60)
            if fault:
                raise RuntimeError(fault)
            ask(kind, 10)
        yield Contestant("tiltyard", ask, os.getpid())
    for model in models.values():
        model.close()


def _model(kind: str) -> PythonModel:
    entry = ModelEntry.model_validate(
        {
            "name": kind,
            "framework": "python",
            "source": {"uri": "file:model.py"},
            "inputs": [{"name": "x", "type": "float32", "shape": SHAPES[kind]}],
            "outputs": [{"name": "y", "type": "float32", "shape": [1]}],
        }
    )
    inputs, outputs = declared(entry)
    resolved = ResolvedModel(digest="0" * 64, size=0, inputs=inputs, outputs=outputs)
    python = known_interpreter(FUNCTION, FUNCTION.parent)
    return PythonModel(plan_model(entry, resolved), Artifact(FUNCTION, python))


@contextlib.contextmanager
def _mlserver(folder: Path) -> Iterator[Contestant]:
    """A process with MLServer's own pool of one worker, told how often to ask it."""
    python = environment("mlserver", folder) / "python"
    script = FUNCTION.with_name("mlserver_pool.py")
    process = subprocess.Popen(
        [python, script, json.dumps(SHAPES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    )
    guard.watch(process.pid)
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("no pipes")
    given, told = process.stdin, process.stdout

    def ask(kind: str, calls: int) -> None:
        print(kind, calls, file=given, flush=True)
        while (line := told.readline()) != "done\n":  # it logs there, too
            if not line:
                raise RuntimeError("MLServer's pool ended")

    try:
        for kind in SHAPES:
            ask(kind, 10)
        yield Contestant("mlserver, parallel worker", ask, process.pid)
    finally:
        given.close()
        process.wait(30)
        told.close()
        guard.forget(process.pid)


def _seconds(contestant: Contestant) -> float:
    """Processor time that its processes have had, as the scheduler counts it: finer than ticks."""
    return sum(_run_seconds(one.pid) for one in tree(contestant.processes))


def _run_seconds(pid: int) -> float:
    nanoseconds = 0
    with contextlib.suppress(OSError):  # a thread that has just ended
        for one in (PROC / str(pid) / "task").iterdir():
            nanoseconds += int((one / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


def _round(contestant: Contestant, kind: str) -> tuple[float, float]:
    """Microseconds a call: processor time, and by the clock."""
    before, start = _seconds(contestant), time.perf_counter()
    contestant.ask(kind, CALLS[kind])
    took = time.perf_counter() - start
    return (_seconds(contestant) - before) / CALLS[kind] * 1e6, took / CALLS[kind] * 1e6


def measured(folder: Path, rounds: int) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Every round of every contestant, by the array and its name."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for number in range(rounds):
        for start in (_in_process, _tiltyard, lambda: _mlserver(folder)):
            with start() as contestant:
                for kind in SHAPES:
                    sample = _round(contestant, kind)
                    found.setdefault((kind, contestant.name), []).append(sample)
        print(f"round {number + 1} of {rounds}", flush=True)
    return found


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    found = measured(arguments.folder.absolute(), arguments.rounds)
    print("| array | how | CPU us a call | above the function | by the clock us | target us |")
    print("|---|---|--:|--:|--:|--:|")
    for (kind, name), samples in found.items():
        cpu, clock = (statistics.median(column) for column in zip(*samples, strict=True))
        alone = statistics.median(cpu for cpu, _ in found[kind, "in process"])
        target = TARGET_US[kind] if name == "tiltyard" else ""
        print(f"| {kind} | {name} | {cpu:.0f} | {cpu - alone:.0f} | {clock:.0f} | {target} |")


if __name__ == "__main__":
    main()
