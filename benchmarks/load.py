"""Put load on a server with wrk and say what each request cost."""

import os
import re
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path

from measure import machine_seconds, own_seconds, seconds_of, subtree_running
from servers import LOAD_CORE, Running

ROTATE = Path(__file__).with_name("rotate.lua")
FOREIGN_LIMIT = 0.08
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


class LoadError(Exception):
    """The load generator did not work, so there is nothing to report."""


@dataclass(frozen=True)
class Point:
    """What one run of the load generator showed."""

    requests: int
    rate: float  # requests a second
    p50_us: float
    p99_us: float
    cpu_us: float  # processor time of the server's whole tree, a request
    engine_us: float  # the same without the idle command line above the engine
    foreign: float  # share of the machine that others used meanwhile
    errors: int  # answers other than 2xx or 3xx, and socket errors


def put_load(running: Running, bodies: Path, connections: int, seconds: int) -> Point:
    """Measure one point; a point that others disturbed is repeated once and the better one kept."""
    point = _one_point(running, bodies, connections, seconds)
    if point.foreign <= FOREIGN_LIMIT:
        return point
    time.sleep(1)
    again = _one_point(running, bodies, connections, seconds)
    return again if again.foreign < point.foreign else point


def warm_up(running: Running, bodies: Path, connections: int, seconds: int = 1) -> None:
    """Let caches, connections and lazy imports settle before anything is measured."""
    _wrk(running, bodies, connections, seconds)


def _one_point(running: Running, bodies: Path, connections: int, seconds: int) -> Point:
    """Run the load generator once between two readings of the clocks."""
    engine = subtree_running(running.pid, "tiltyard_engine")
    tree_0, engine_0 = seconds_of(running.pid), seconds_of(engine)
    machine_0, own_0, started = machine_seconds(), own_seconds(), time.monotonic()
    report = _wrk(running, bodies, connections, seconds)
    lasted = time.monotonic() - started
    machine, own = machine_seconds() - machine_0, own_seconds() - own_0
    inner, tree = seconds_of(engine) - engine_0, seconds_of(running.pid) - tree_0
    point = _read(report)
    each = 1e6 / max(point.requests, 1)
    return replace(
        point,
        cpu_us=tree * each,
        engine_us=inner * each,
        foreign=max(0.0, (machine - own - tree) / (lasted * (os.cpu_count() or 1))),
    )


def _wrk(running: Running, bodies: Path, connections: int, seconds: int) -> str:
    """Run wrk on its own core and return what it printed."""
    command = [
        *("setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(LOAD_CORE)),
        *("wrk", "--threads", "1", "--connections", str(connections), "--latency"),
        *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(ROTATE), running.url),
    ]
    environment = {**os.environ, "BODIES": str(bodies)}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=seconds + 60, check=False
    )
    if done.returncode or "Requests/sec" not in done.stdout:
        raise LoadError(f"wrk failed: {done.stderr or done.stdout}")
    return done.stdout


def _read(report: str) -> Point:
    """Take the figures out of wrk's report; what /proc says is filled in by the caller."""
    latencies = dict(re.findall(r"^\s+(50|99)%\s+([\d.]+\w+)", report, re.MULTILINE))
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(r"Socket errors: (.*)", report)
    broken = sum(int(n) for n in re.findall(r"\d+", sockets[1])) if sockets else 0
    return Point(
        requests=_number(r"(\d+) requests in", report),
        rate=float(re.findall(r"Requests/sec:\s+([\d.]+)", report)[0]),
        p50_us=_microseconds(latencies["50"]),
        p99_us=_microseconds(latencies["99"]),
        cpu_us=0.0,
        engine_us=0.0,
        foreign=0.0,
        errors=broken + (int(wrong[1]) if wrong else 0),
    )


def _number(pattern: str, report: str) -> int:
    """Find the whole number that a pattern names."""
    return int(re.findall(pattern, report)[0])


def _microseconds(text: str) -> float:
    """Read a time as wrk writes it: 412.00us, 1.30ms, 2.01s."""
    number, unit = re.findall(r"([\d.]+)([a-z]+)", text)[0]
    return float(number) * UNITS[unit]
