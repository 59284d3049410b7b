"""Fetches 1 GiB from a server of this machine, beside curl and sha256sum: time, CPU, memory.

    python benchmarks/fetch.py [--mebibytes 1024] [--rounds 3]

The two take turns, so that what else the machine does meets both alike. Memory is what the peak
lies above that of the same program when it fetches one byte.
"""

import argparse
import contextlib
import multiprocessing
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FETCH = """
import sys
from ipaddress import ip_network
from pathlib import Path
from tiltyard_engine.artifacts import fetch
from tiltyard_engine.sources.addresses import Addresses
from tiltyard_engine.sources.base import Access
access = Access(addresses=Addresses((ip_network("127.0.0.0/8"),)))
print(fetch(sys.argv[1], None, access, Path(sys.argv[2])).digest)
"""
CURL = 'curl --silent --fail --output "$2/file" "$1" && sha256sum < "$2/file"'


@dataclass(frozen=True)
class Run:
    """What one fetch took."""

    wall: float
    cpu: float
    mebibytes: float
    """Peak of the largest process."""

    digest: str


def serve(file: str, listener: socket.socket) -> None:
    """Give a file to whoever asks, by sendfile; /byte is one byte."""
    while True:
        connection, _ = listener.accept()
        with connection, Path(file).open("rb") as body, contextlib.suppress(ConnectionError):
            asked = connection.recv(65536)
            size = 1 if asked.startswith(b"GET /byte") else Path(file).stat().st_size
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            connection.sendfile(body, count=size)


@contextlib.contextmanager
def server(file: Path) -> Iterator[str]:
    """Serve a file from a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = multiprocessing.get_context("fork").Process(
            target=serve, args=(str(file), listener), daemon=True
        )
        process.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.kill()
            process.join()


def measured(command: list[str], url: str) -> Run:
    """Run a command that fetches a URL into a folder and prints the digest."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        start = time.perf_counter()
        with tempfile.TemporaryFile("w+") as said:
            child = subprocess.Popen([*command, url, folder], stdout=said)
            _, status, usage = os.wait4(child.pid, 0)
            wall = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            digest = said.read().partition(" ")[0].strip()
    if child.returncode:
        sys.exit(f"{command[0]} failed")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, digest)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, theirs = [sys.executable, "-c", FETCH], ["sh", "-c", CURL, "curl"]
    runs: dict[str, list[Run]] = {"curl + sha256sum": [], "tiltyard fetch": []}
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(arguments.mebibytes):
            file.write(os.urandom(1 << 20))
        file.flush()
        with server(Path(file.name)) as url:
            idle = measured(ours, f"{url}/byte").mebibytes
            for _ in range(arguments.rounds):
                for name, command in zip(runs, (theirs, ours), strict=True):
                    runs[name].append(measured(command, f"{url}/file"))
    digests = {run.digest for several in runs.values() for run in several}
    if len(digests) != 1:
        sys.exit(f"the digests differ: {digests}")
    print(f"{arguments.mebibytes} MiB, median of {arguments.rounds}")
    base = statistics.median(run.wall for run in runs["curl + sha256sum"])
    for name, several in runs.items():
        wall = statistics.median(run.wall for run in several)
        cpu = statistics.median(run.cpu for run in several)
        peak = max(run.mebibytes for run in several)
        memory = f"{peak:6.1f} MiB"
        if name == "tiltyard fetch":
            memory += f", {peak - idle:.1f} MiB above idle"
        print(f"{name:18} {wall:6.2f} s ({wall / base:.2f}x)  cpu {cpu:5.2f} s  {memory}")


if __name__ == "__main__":
    main()
