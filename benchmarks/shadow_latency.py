"""What a challenger costs the champion's latency at 20 % load, with a core to spare.

    .venv/bin/python benchmarks/shadow_latency.py [--rounds 10] [--seconds 3]

Requests are sent at their time, whether or not the last was answered quickly, and timed from when
they were due: a server that stalls cannot hide it. Every round starts each server anew, in a
shuffled order, and a shadow is compared with no shadow of the same round.
"""

import argparse
import os
import random
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bodies import Bodies, body_file, make_bodies
from contestants import tiltyard
from measure import PROC, seconds_of, subtree_running, tree
from models import make_models
from servers import CORES, HOST, Running, serving

PIPELINES = Path(__file__).with_name("pipelines")
ALONE = "fraud"
CHALLENGERS = ("shadow", "failing-shadow", "nan-shadow", "slow-shadow", "hanging-shadow")
LOAD = 0.2
CALIBRATION = 5_000
P50_TARGET, P99_TARGET = 1.05, 1.25


@dataclass(frozen=True)
class Latency:
    """Microseconds from when a request was due to its answer."""

    p50: float
    p99: float


class Client:
    """One connection that asks at given times."""

    def __init__(self, running: Running, bodies: Bodies) -> None:
        server = running.server
        self._socket = socket.create_connection((HOST, server.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        headers = "".join(f"{name}: {value}\r\n" for name, value in bodies.headers.items())
        start = f"POST {server.paths[server.dialect]} HTTP/1.1\r\nHost: bench\r\n{headers}"
        self._requests = [
            f"{start}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies.bodies
        ]
        self._sent = 0

    def ask(self) -> None:
        """Send the next request and read its answer."""
        self._socket.sendall(self._requests[self._sent % len(self._requests)])
        self._sent += 1
        answer = self._socket.recv(65536)
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise SystemExit(f"not a good answer: {answer[:200]!r}")
        head, _, body = answer.partition(b"\r\n\r\n")
        missing = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0]) - len(body)
        while missing:
            missing -= len(self._socket.recv(missing))

    def keep_pace(self, rate: float, seconds: float) -> Latency:
        """Ask `rate` times a second."""
        took = []
        begun = time.perf_counter()
        for number in range(int(rate * seconds)):
            due = begun + number / rate
            wait = due - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            self.ask()
            took.append(1e6 * (time.perf_counter() - due))
        cuts = statistics.quantiles(took, n=100)
        return Latency(cuts[49], cuts[98])

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def spare_a_core(running: Running) -> None:
    """Let a server that was started on one core use them all."""
    for process in tree(running.pid):
        for thread in (PROC / str(process.pid) / "task").iterdir():
            with suppress(ProcessLookupError):
                os.sched_setaffinity(int(thread.name), CORES)


def measure(name: str, folder: Path, seconds: float, rate: float | None) -> tuple[Latency, float]:
    """Start a server and measure it; without a rate, at 20 % of what one core can do."""
    path = body_file(folder / "bodies", "fraud", 1, "records")
    server = tiltyard(folder / f"{name}.yaml")
    with serving(server, path, folder) as running:
        spare_a_core(running)
        engine = subtree_running(running.pid, "tiltyard_engine")
        client = Client(running, Bodies.read(path))
        before = seconds_of(engine)
        for _ in range(CALIBRATION):
            client.ask()
        cost = (seconds_of(engine) - before) / CALIBRATION
        latency = client.keep_pace(rate or LOAD / cost, seconds)
        client.close()
        return latency, rate or LOAD / cost


def table(rounds: Sequence[dict[str, Latency]]) -> str:
    """Show medians, and ratios within each round."""

    def middle(name: str, which: str) -> str:
        own = statistics.median(getattr(one[name], which) for one in rounds)
        ratio = statistics.median(
            getattr(one[name], which) / getattr(one[ALONE], which) for one in rounds
        )
        return f"{own:8.0f} us {ratio:5.2f}"

    lines = [f"{'challenger':<16}{'p50':>11}{'ratio':>6}   {'p99':>11}{'ratio':>6}"]
    lines += [
        f"{name:<16}{middle(name, 'p50')}   {middle(name, 'p99')}" for name in (ALONE, *CHALLENGERS)
    ]
    target = f"targets: p50 {P50_TARGET}, p99 {P99_TARGET}, medians of {len(rounds)} rounds"
    return "\n".join([*lines, target])


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0)
    asked = parser.parse_args()
    rounds: list[dict[str, Latency]] = []
    with tempfile.TemporaryDirectory(prefix="tiltyard-bench-") as name:
        folder = Path(name)
        make_models(folder)
        make_bodies(folder / "bodies")
        for manifest in PIPELINES.glob("*.yaml"):
            shutil.copy(manifest, folder)
        _, rate = measure(ALONE, folder, asked.seconds, None)
        print(f"{rate:.0f} requests a second are {LOAD:.0%} of a core")
        for number in range(asked.rounds):
            names = random.sample((ALONE, *CHALLENGERS), 1 + len(CHALLENGERS))
            rounds.append({n: measure(n, folder, asked.seconds, rate)[0] for n in names})
            print(f"round {number + 1} of {asked.rounds}", file=sys.stderr)
    print(table(rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
