"""Start a server on its own core, wait for its first good answer, and end it whatever happens.

Every server leads a process group of its own. At the end of its block the whole group is asked to
stop, then killed; and `guard` does so should this process be killed before.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import guard
from bodies import Bodies
from measure import all_processes, tree

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]
HOST = "127.0.0.1"
START_LIMIT = 60.0
STOP_LIMIT = 5.0
POLL = 0.005


class ServerError(Exception):
    """A server did not start or gave a wrong answer."""


@dataclass(frozen=True)
class Server:
    """How to start a server and how to ask it."""

    name: str
    command: list[str]
    port: int
    paths: Mapping[str, str]  # where it takes each dialect of HTTP
    dialect: str  # the one it is spoken to in
    management_port: int | None = None
    grpc_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A server that has answered."""

    server: Server
    pid: int
    start_seconds: float  # from the start of its process to its first good answer
    first_answer: bytes

    @property
    def url(self) -> str:
        """The address to send rows to."""
        return f"http://{HOST}:{self.server.port}{self.server.paths[self.server.dialect]}"

    def speaking(self, dialect: str) -> "Running":
        """Give the same server, spoken to in another dialect."""
        return replace(self, server=replace(self.server, dialect=dialect))

    def ask(self, bodies: Path) -> bytes:
        """Send the first of some bodies and return the answer."""
        return _infer(self.server, Bodies.read(bodies))


def free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def serving(server: Server, bodies: Path, folder: Path) -> Iterator[Running]:
    """Run a server in `folder` for the length of a block; its output goes to a log there."""
    first = Bodies.read(bodies)
    log = folder / "logs" / f"{server.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = ["taskset", "-c", str(SERVER_CORE), *server.command]
    # One thread in every numerical library: on one core more would only get in the way.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **server.environment}
    with log.open("wb") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        guard.watch(process.pid)
        try:
            answer = _first_answer(server, process, first, log)
            yield Running(server, process.pid, time.monotonic() - started, answer)
        finally:
            _stop(process)
            guard.forget(process.pid)


def get(port: int, path: str) -> bytes:
    """Fetch a page, for metrics and readiness."""
    return _ask(port, "GET", path, None, {})


def _first_answer(
    server: Server, process: subprocess.Popen[bytes], first: Bodies, log: Path
) -> bytes:
    """Ask until the server answers well, dies, or has had its time."""
    deadline = time.monotonic() + START_LIMIT
    why = "it never listened"
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return _infer(server, first)
        except (OSError, http.client.HTTPException, ServerError) as problem:
            why = str(problem)
        time.sleep(POLL)
    last_words = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise ServerError(f"{server.name} did not start: {why}; its log ends: {last_words}")


def _infer(server: Server, bodies: Bodies) -> bytes:
    """Send the first of some bodies and return the answer."""
    path = server.paths[server.dialect]
    return _ask(server.port, "POST", path, bodies.bodies[0], bodies.headers)


def _ask(
    port: int, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
) -> bytes:
    """Send one request and return the body of a good answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=10)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    if response.status != http.HTTPStatus.OK:
        raise ServerError(f"{method} {path} answered {response.status}: {answer[:200]!r}")
    return answer


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to stop, then kill what is left of its group and of its tree."""
    family = {member.pid for member in tree(process.pid)}
    for how in (signal.SIGTERM, signal.SIGKILL):
        for pid in _living(process, family):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
        deadline = time.monotonic() + STOP_LIMIT
        while _living(process, family) and time.monotonic() < deadline:
            time.sleep(0.02)
    process.wait()


def _living(process: subprocess.Popen[bytes], family: set[int]) -> list[int]:
    """Return those of a server's processes that still run, wherever their parents have gone."""
    process.poll()
    members = (p for p in all_processes() if p.pid in family or p.group == process.pid)
    return [member.pid for member in members if member.state not in "ZX"]
