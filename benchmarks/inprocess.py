"""Time the floors and the data plane in this process and print the samples as JSON.

`run.py` starts it as a process of its own, pinned to the server's core, so that its caches and its
garbage are nobody else's. Processor time is taken, not the clock's: a neighbour that takes the
core away costs nothing.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bodies import Bodies, body_file
from dataplane import open_dataplane
from floors import Work, decode_run_encode, model_alone

STACK = 64  # requests that one turn of the event loop holds at c=64
PASS_SECONDS = 0.04
SPLITS = ("split", "split-by-key")


@dataclass(frozen=True)
class Item:
    """One thing to time: a function and what it is fed, turn by turn."""

    case: str
    name: str
    work: Work
    turns: list[list[bytes]]

    @property
    def requests(self) -> int:
        """How many requests one pass over the turns answers."""
        return sum(len(turn) for turn in self.turns)


def prepare(folder: Path) -> tuple[list[Item], list[str]]:
    """Prepare all that can be timed, and say what cannot."""
    items: list[Item] = []
    failures: list[str] = []
    for kind, rows in (("fraud", 1), ("house", 1), ("fraud", 1000)):
        case = f"{kind}-{rows}"
        bodies = Bodies.read(body_file(folder / "bodies", kind, rows, "records")).bodies
        model = folder / f"{kind}.onnx"
        works = {
            "model alone": model_alone(model, kind, bodies),
            "decode, run, encode": decode_run_encode(model, kind),
        }
        for pipeline in (kind, *(SPLITS if case == "fraud-1" else ())):
            try:
                works[f"data plane, {pipeline}"] = open_dataplane(folder / f"{pipeline}.yaml")
            except ImportError as problem:
                failures.append(f"data plane, {pipeline}: {problem}")
        for name, work in works.items():
            items += _alone_and_stacked(case, name, work, bodies)
    return items, failures


def time_all(items: list[Item], rounds: int) -> Iterator[dict[str, object]]:
    """Time every item once a round, in an order that is shuffled anew."""
    for number in range(-1, rounds):
        for item in random.sample(items, len(items)):
            took = _time(item)
            if number >= 0:  # the round before the first warms up
                figures = {"cpu_us": took}
                yield {
                    "case": f"inside {item.case}",
                    "server": item.name,
                    "round": number,
                    "figures": figures,
                }


def _alone_and_stacked(case: str, name: str, work: Work, bodies: list[bytes]) -> list[Item]:
    """Feed one request a turn, and for one-row requests also a full turn of 64."""
    items = [Item(case, name, work, [[body] for body in bodies])]
    if len(bodies) >= STACK:
        turns = [bodies[start : start + STACK] for start in range(0, len(bodies), STACK)]
        items.append(Item(case, f"{name}, stacked", work, turns))
    return items


def _time(item: Item) -> float:
    """Return the processor microseconds a request, over passes that last long enough."""
    passes = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < PASS_SECONDS:
        for turn in item.turns:
            item.work(turn)
        passes += 1
    return spent / (passes * item.requests) * 1e6


def main() -> None:
    """Time everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, required=True)
    arguments = parser.parse_args()
    items, failures = prepare(arguments.folder)
    samples = list(time_all(items, arguments.rounds))
    json.dump({"samples": samples, "failures": failures}, sys.stdout)


if __name__ == "__main__":
    main()
