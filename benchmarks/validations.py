"""What validations cost: a request of one row with one, and 1,000 rows with five of them.

`.venv/bin/python benchmarks/validations.py`, under a minute. Simple ones run in this process,
all others in one beside it; the time of both is from a finished call to its verdicts. The first
two lines are whole requests in process, without transport.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import yaml
from dataplane import load, open_dataplane

from tiltyard_engine.call import Call
from tiltyard_engine.validations.judge import BUDGET, Judge

EXAMPLE = Path(__file__).parents[1] / "examples" / "bike-demand"
ROUNDS = 25

SIMPLE = [f"out.bikers[0] > {limit}.0 && inputs.hour < 24.0" for limit in (1, 10, 100, 500, 900)]
OTHERS = [f"out.bikers.exists(b, b > {limit}.0) && inputs.hour < 24.0" for limit in range(5)]


def manifest(folder: Path, expressions: list[str]) -> Path:
    """Write the example with other validations."""
    document = yaml.safe_load((EXAMPLE / "pipeline.yaml").read_text())
    named = [{"name": f"v{n}", "expression": text} for n, text in enumerate(expressions)]
    document["spec"]["validations"] = named
    folder.mkdir()
    (folder / "models").symlink_to(EXAMPLE / "models")
    file = folder / "pipeline.yaml"
    file.write_text(yaml.safe_dump(document))
    return file


def microseconds(runs: Sequence[Callable[[], object]], times: int) -> list[float]:
    """Time of each run in the best of several rounds, in which they take turns.

    Other work on the machine slowed the best least.
    """
    best = [float("inf")] * len(runs)
    for _ in range(ROUNDS):
        for number, run in enumerate(runs):
            started = time.perf_counter()
            for _ in range(times):
                run()
            best[number] = min(best[number], (time.perf_counter() - started) / times * 1e6)
    return best


def request(file: Path) -> Callable[[], object]:
    """Give a whole request of one row."""
    rows = json.loads((EXAMPLE / "held-out.json").read_bytes())[:1]
    answer, body = open_dataplane(file), json.dumps(rows).encode()
    return lambda: answer([body])


def judged(file: Path, rows: int) -> float:
    """Time of the verdicts of a call."""
    plan = load(file).plan
    columns = np.random.default_rng(1).uniform(0, 24, (rows, 10)).astype(np.float32)
    outputs = {plan.steps[-1].name: {"bikers": columns[:, :1] * 40}}
    call = Call(rows, {plan.request[0].key: columns}, {}, {}, outputs=outputs)
    judge = Judge(plan, BUDGET)
    try:
        (spent,) = microseconds([lambda: judge.judge(call)], 50 if rows == 1 else 1)
        return spent
    finally:
        judge.close()


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        files = [manifest(folder / name, SIMPLE[:n]) for name, n in (("none", 0), ("one", 1))]
        bare, simple = microseconds([request(file) for file in files], 200)
        print(f"one row, whole request, no validation      {bare:9.1f} us")
        print(f"one row, whole request, one simple         {simple:9.1f} us")
        for what, texts in (("simple", SIMPLE), ("not simple", OTHERS)):
            one, five = (manifest(folder / f"{what}{n}", texts[:n]) for n in (1, 5))
            print(f"one row, one {what:<29} {judged(one, 1):9.1f} us")
            print(f"1,000 rows, five {what:<25} {judged(five, 1000):9.1f} us")


if __name__ == "__main__":
    main()
