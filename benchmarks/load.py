"""Put load on a server and say what each request cost."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from measure import machine_seconds, own_seconds, seconds_of, subtree_running
from servers import HOST, LOAD_CORE, Running

ROTATE = Path(__file__).with_name("rotate.lua")
GRPC_LOAD = Path(__file__).with_name("grpcload.py")
FOREIGN_LIMIT = 0.08
UNITS = {"us": 1.0, "ms": 1e3, "s": 1e6, "m": 6e7}


class LoadError(Exception):
    """The load generator did not work, so there is nothing to report."""


@dataclass(frozen=True)
class Point:
    """What one run of the load generator showed; what /proc says is filled in after it."""

    requests: int
    rate: float  # requests a second
    p50_us: float
    p99_us: float
    errors: int  # answers other than 2xx or 3xx, and socket errors
    cpu_us: float = 0.0  # processor time of the server's whole tree, a request
    engine_us: float = 0.0  # the same without the idle command line above the engine
    foreign: float = 0.0  # share of the machine that others used meanwhile


Send = Callable[[Running, Path, int, int], Point]
"""Sends bodies over so many connections for so many seconds."""


def wrk(running: Running, bodies: Path, connections: int, seconds: int) -> Point:
    """Send over HTTP."""
    command = [
        *("wrk", "--threads", "1", "--connections", str(connections), "--latency"),
        *("--duration", f"{seconds}s", "--timeout", "10s", "--script", str(ROTATE), running.url),
    ]
    report = _run(command, seconds, BODIES=str(bodies))
    if "Requests/sec" not in report:
        raise LoadError(f"wrk failed: {report}")
    return _read(report)


def grpc(running: Running, bodies: Path, connections: int, seconds: int) -> Point:
    """Send over gRPC, so many requests at a time."""
    target = f"{HOST}:{running.server.grpc_port}"
    command = [sys.executable, str(GRPC_LOAD), target, str(bodies), str(connections), str(seconds)]
    return Point(**json.loads(_run(command, seconds)))


def grpc_answer(running: Running, bodies: Path) -> list[float]:
    """Return the scores that a gRPC server gives for the first of some bodies."""
    target = f"{HOST}:{running.server.grpc_port}"
    scores = json.loads(_run([sys.executable, str(GRPC_LOAD), target, str(bodies)], 0))
    return list(map(float, scores))


def put_load(
    running: Running, bodies: Path, connections: int, seconds: int, send: Send = wrk
) -> Point:
    """Measure one point; a point that others disturbed is repeated once and the better one kept."""
    point = _one_point(running, bodies, connections, seconds, send)
    if point.foreign <= FOREIGN_LIMIT:
        return point
    time.sleep(1)
    again = _one_point(running, bodies, connections, seconds, send)
    return again if again.foreign < point.foreign else point


def warm_up(running: Running, bodies: Path, connections: int, send: Send = wrk) -> None:
    """Let caches, connections and lazy imports settle before anything is measured."""
    send(running, bodies, connections, 1)


def _one_point(running: Running, bodies: Path, connections: int, seconds: int, send: Send) -> Point:
    """Run the load generator once between two readings of the clocks."""
    engine = subtree_running(running.pid, "tiltyard_engine")
    tree_0, engine_0 = seconds_of(running.pid), seconds_of(engine)
    machine_0, own_0, started = machine_seconds(), own_seconds(), time.monotonic()
    point = send(running, bodies, connections, seconds)
    lasted = time.monotonic() - started
    machine, own = machine_seconds() - machine_0, own_seconds() - own_0
    inner, tree = seconds_of(engine) - engine_0, seconds_of(running.pid) - tree_0
    each = 1e6 / max(point.requests, 1)
    return replace(
        point,
        cpu_us=tree * each,
        engine_us=inner * each,
        foreign=max(0.0, (machine - own - tree) / (lasted * (os.cpu_count() or 1))),
    )


def _run(command: list[str], seconds: int, **environment: str) -> str:
    """Run a load generator on its own core and return what it printed."""
    pinned = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(LOAD_CORE), *command]
    done = subprocess.run(
        pinned,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
    )
    if done.returncode:
        raise LoadError(f"{Path(command[0]).name} failed: {done.stderr or done.stdout}")
    return done.stdout


def _read(report: str) -> Point:
    """Take the figures out of wrk's report."""
    latencies = dict(re.findall(r"^\s+(50|99)%\s+([\d.]+\w+)", report, re.MULTILINE))
    wrong = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
    sockets = re.search(r"Socket errors: (.*)", report)
    broken = sum(int(n) for n in re.findall(r"\d+", sockets[1])) if sockets else 0
    return Point(
        requests=_number(r"(\d+) requests in", report),
        rate=float(re.findall(r"Requests/sec:\s+([\d.]+)", report)[0]),
        p50_us=_microseconds(latencies["50"]),
        p99_us=_microseconds(latencies["99"]),
        errors=broken + (int(wrong[1]) if wrong else 0),
    )


def _number(pattern: str, report: str) -> int:
    """Find the whole number that a pattern names."""
    return int(re.findall(pattern, report)[0])


def _microseconds(text: str) -> float:
    """Read a time as wrk writes it: 412.00us, 1.30ms, 2.01s."""
    number, unit = re.findall(r"([\d.]+)([a-z]+)", text)[0]
    return float(number) * UNITS[unit]
