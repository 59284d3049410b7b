"""Measure what rolls canaries back: `benchmarks/canary.py`.

    .venv/bin/python benchmarks/canary.py --hours 500

Every row is a number of simulated hours; every rule sees the same streams. "ours" is the test as it
is set where a manifest sets nothing (margin 0.5, alpha 0.01 over everything, three engines that
judge by themselves); "undivided" is one test with margin 0 and the whole of alpha. The peers are
rules that other tools roll back by: a z-test of two proportions repeated at every look, and a
success rate that is too low in several minutes. The README beside this file says how to read it.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/support")]

from canaries import make_wanted  # noqa: E402 - the path has to be set first
from streams import (  # noqa: E402 - likewise
    LOOK,
    NEVER,
    Counts,
    Scenario,
    Streams,
    draw,
    rollback,
    threshold,
    z_test,
)

ENGINES = 3
AT_ONCE = 250
"""Hours that are drawn together, which bounds the memory."""

RAMP = tuple(10.0 * n for n in range(1, 11))

SCENARIOS = {
    "equal, 5/s, 0.2 %": Scenario(5, 0.002, 0.002),
    "equal, 5/s, 1 %": Scenario(5, 0.01, 0.01),
    "equal, 50/s, 1 %": Scenario(50, 0.01, 0.01),
    "equal, 500/s, 1 %": Scenario(500, 0.01, 0.01),
    "equal, 50/s, 1 %, clients that fail 20 times": Scenario(50, 0.01, 0.01, burst=20),
    "equal, 50/s, 1 % to 20 % together": Scenario(50, 0.01, 0.01, drift=20),
    "equal, all of it over ten weights": Scenario(50, 0.01, 0.01, RAMP, burst=20, drift=20),
    "0.2 % -> 2 %, 5/s": Scenario(5, 0.002, 0.02),
    "0.2 % -> 2 %, 50/s": Scenario(50, 0.002, 0.02),
    "1 % -> 3 %, 50/s": Scenario(50, 0.01, 0.03),
    "1 % -> 3 %, 500/s": Scenario(500, 0.01, 0.03),
    "1 % -> 20 %, 50/s": Scenario(50, 0.01, 0.2),
}


def rules(scenario: Scenario) -> Mapping[str, Callable[[Streams], Counts]]:
    """Give every rule by its name."""
    steps = [{"weight": one, "hold": "6m"} for one in scenario.weights]
    want = make_wanted({"steps": steps}, deployment={"replicas": ENGINES})
    everyone, alone = want.all_engines.alpha, want.one_engine.alpha
    return {
        "ours": lambda found: rollback(found, 0.5, everyone, alone),
        "undivided": lambda found: rollback(found, 0, 0.01, 1e-300),
        "z-test": z_test,
        "<99 % x5": lambda found: threshold(found, 0.99, 5),
        "<95 % x3": lambda found: threshold(found, 0.95, 3),
    }


def measured(scenario: Scenario, hours: int, seed: int) -> Mapping[str, Counts]:
    """Look of the rollback of every hour, by rule."""
    chance, asked = np.random.default_rng(seed), rules(scenario)
    found: dict[str, list[Counts]] = {name: [] for name in asked}
    for done in range(0, hours, AT_ONCE):
        streams = draw(scenario, min(AT_ONCE, hours - done), ENGINES, chance)
        for name, rule in asked.items():
            found[name].append(rule(streams))
    return {name: np.concatenate(parts) for name, parts in found.items()}


def cell(found: Counts) -> str:
    """Share of the hours with a rollback, and the median time to it."""
    fired = found[found != NEVER]
    share = 100 * len(fired) / len(found)
    return f"{share:.1f} % {(np.median(fired) + 1) * LOOK:.0f} s" if len(fired) else "0.0 %"


def main() -> None:
    """Print a row for each scenario."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=500, help="simulated hours of each row")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    began = time.monotonic()
    names = list(rules(Scenario(1, 0, 0)))
    print(f"| {'hours of':45} | " + " | ".join(f"{name:>15}" for name in names) + " |")
    print(f"|{'-' * 47}|" + f"{'-' * 16}:|" * len(names))
    for title, scenario in SCENARIOS.items():
        row = measured(scenario, options.hours, options.seed)
        cells = " | ".join(f"{cell(row[name]):>15}" for name in names)
        print(f"| {title:45} | {cells} |", flush=True)
    print(f"\n{options.hours} hours a row, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
