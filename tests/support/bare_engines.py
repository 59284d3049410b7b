"""The engine's own program, started as a pod starts it, without the command line above it."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from loopback import PATIENCE, Client
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.names import local_uid
from tiltyard_api.plan import Plan
from tiltyard_api.routing import RoutingTable, SplitRouting
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_plan, compile_routing
from tiltyard_core.references import entries as described
from tiltyard_engine.resolve import facts
from tiltyard_engine.sources.base import Access

HOST = "127.0.0.1"
_END_SECONDS = 45.0


@dataclass
class Compiled:
    """A Pipeline's files on disk, as an operator would have written them."""

    plan: Plan
    table: RoutingTable
    plan_file: Path
    routing_file: Path

    def write_table(self, table: RoutingTable) -> None:
        """Put a table where engines read it, in one step."""
        fresh = self.routing_file.with_suffix(".new")
        fresh.write_text(table.model_dump_json(by_alias=True))
        fresh.replace(self.routing_file)

    def weigh(self, step: str, revision: int, **weights: float) -> RoutingTable:
        """Give the table with other weights of one step."""
        steps = dict(self.table.steps) | {step: SplitRouting(weights=weights)}
        changed = self.table.model_copy(update={"steps": steps, "revision": revision})
        return changed.sealed()


class Workshop:
    """A folder in which Pipelines of made-up models are compiled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store"

    def compile(
        self,
        name: str,
        models: Mapping[str, bytes],
        steps: Sequence[Mapping[str, Any]],
        **entries: Mapping[str, Any],
    ) -> Compiled:
        """Compile a Pipeline; `entries` adds fields to the entries of models, by name."""
        mine = self.folder / name
        mine.mkdir(parents=True)
        for model, graph in models.items():
            (mine / f"{model}.onnx").write_bytes(graph)
        spec = {
            "models": [
                {
                    "name": model,
                    "framework": "onnx",
                    "source": {"uri": f"file:{model}.onnx"},
                    **entries.get(model.replace("-", "_"), {}),
                }
                for model in models
            ],
            "steps": list(steps),
        }
        document = {
            "apiVersion": "tiltyard.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": name},
            "spec": spec,
        }
        return self.write(read_pipeline(document), mine)

    def write(self, pipeline: Pipeline, folder: Path) -> Compiled:
        """Compile a manifest whose models lie in a folder."""
        access = Access(folder=folder)
        resolved = {one.name: facts(one, access, self.store) for _, one in described(pipeline)}
        plan = compile_plan(pipeline, resolved)
        uid = local_uid("default", pipeline.metadata.name)
        table = compile_routing(pipeline, plan, uid, 1)
        files = self.folder / f"{pipeline.metadata.name}.files"
        files.mkdir()
        made = Compiled(plan, table, files / "plan.json", files / "routing.json")
        made.plan_file.write_text(plan.model_dump_json(by_alias=True))
        made.write_table(table)
        return made

    def command(self, pipelines: Sequence[Compiled], *flags: str) -> list[str]:
        """Give the command line of an engine."""
        files = [
            part
            for one in pipelines
            for part in ("--plan", str(one.plan_file), "--routing", str(one.routing_file))
        ]
        program = [sys.executable, "-P", "-m", "tiltyard_engine"]
        hosts = ["--host", HOST, "--management-host", HOST]
        return [*program, *files, "--artifacts", str(self.store), *hosts, *flags]


@dataclass
class Engine:
    """An engine that is ready."""

    process: "subprocess.Popen[bytes]"
    port: int
    management_port: int
    log_file: Path
    grpc_port: int = 0
    faults_expected: bool = False
    """Whether its log may hold tracebacks."""

    _clients: list[Client] = field(default_factory=list)

    def connect(self) -> Client:
        """Open a connection to the data port; it is closed with the engine, if not before."""
        return self._open(self.port)

    def connect_management(self) -> Client:
        """Open a connection to the management port."""
        return self._open(self.management_port)

    def _open(self, port: int) -> Client:
        client = Client(socket.create_connection((HOST, port), timeout=PATIENCE))
        self._clients.append(client)
        return client

    def hang_up(self) -> None:
        """Close every connection that was opened."""
        while self._clients:
            self._clients.pop().__exit__()

    def ask(self, path: str, **headers: str) -> tuple[int, "http.client.HTTPMessage", str]:
        """Ask the management port: status, headers, body."""
        connection = http.client.HTTPConnection(HOST, self.management_port, timeout=PATIENCE)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """What `/status` says of the first Pipeline."""
        return dict(json.loads(self.ask("/status")[2])["pipelines"][0])

    def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        """Every sample of `/metrics` by name and labels."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.ask("/metrics")[2])
            for sample in family.samples
        }

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples that have these labels."""
        wanted = labels.items()
        return sum(
            value
            for (sample, have), value in self.samples().items()
            if sample == name and wanted <= have
        )

    def latest_child(self) -> int:
        """Give the process that was started last: where there are challengers, it is theirs."""
        return max(self.children())

    def children(self) -> dict[int, str]:
        """Processes below the supervisor, by pid."""
        return {pid: name for pid, (parent, name) in _processes().items() if parent == self.pid}

    def workers(self) -> list[int]:
        """Pids of the workers, in the order in which they were started."""
        return sorted(self.children())[1:]  # the management process is the first

    @property
    def pid(self) -> int:
        """The supervisor."""
        return self.process.pid

    def group(self) -> list[int]:
        """Processes that are left of the tree, zombies aside."""
        return [pid for pid in _processes() if _group(pid) == self.pid]

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


@contextmanager
def running(
    workshop: Workshop,
    *pipelines: Compiled,
    flags: Sequence[str] = (),
    workers: int = 1,
    drain_delay: str = "100ms",
    grpc: bool = False,
) -> Iterator[Engine]:
    """Run an engine until the block ends; its log must be free of tracebacks.

    It gets sockets that are bound already, so that no port can be taken in between, and tells
    through a pipe when it is ready.
    """
    data = _listening(workers)
    management = _listening(1)[0]
    ready, theirs = os.pipe()
    calls = _listening(workers) if grpc else []
    sockets = [*data, management, *calls]
    handed = [
        *(f"--data-fd={one.fileno()}" for one in data),
        *(f"--grpc-fd={one.fileno()}" for one in calls),
        f"--management-fd={management.fileno()}",
        f"--ready-fd={theirs}",
        f"--drain-delay={drain_delay}",
    ]
    ports = data[0].getsockname()[1], management.getsockname()[1]
    log_file = workshop.folder / f"engine-{ports[0]}-{ready}.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            workshop.command(pipelines, *handed, *flags),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[*(one.fileno() for one in sockets), theirs],
            start_new_session=True,
        )
    engine = Engine(process, *ports, log_file, calls[0].getsockname()[1] if calls else 0)
    os.close(theirs)
    for one in sockets:
        one.close()  # else connections would still be taken when the engine takes none
    try:
        missing = workers
        while missing:
            came = len(os.read(ready, missing))
            assert came, f"the engine did not start: {engine.log()}"
            missing -= came
        yield engine
    finally:
        os.close(ready)
        engine.hang_up()
        _finish(engine)
    assert engine.faults_expected or "Traceback" not in engine.log(), engine.log()


def _finish(engine: Engine) -> None:
    """End the tree, whatever has become of it."""
    with suppress(ProcessLookupError):
        engine.process.terminate()
    try:
        engine.process.wait(_END_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(engine.pid, signal.SIGKILL)
        engine.process.wait()


def _listening(count: int) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    port = 0
    for _ in range(count):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((HOST, port))
        port = one.getsockname()[1]
        one.setblocking(False)
        sockets.append(one)
    for one in sockets:
        one.listen(1024)
    return sockets


def _processes() -> dict[int, tuple[int, str]]:
    """Parent and name of every process that is no zombie."""
    table = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(FileNotFoundError, ProcessLookupError):
                name, _, rest = (entry / "stat").read_text().rpartition(")")
                state, parent = rest.split()[:2]
                if state != "Z":
                    table[int(entry.name)] = int(parent), name.partition("(")[2]
    return table


def _group(pid: int) -> int:
    with suppress(ProcessLookupError):
        return os.getpgid(pid)
    return 0
