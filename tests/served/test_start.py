"""How an engine starts: quickly, or not at all and with one line that says why."""

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from bare_engines import HOST, Compiled, Engine, Workshop
from loopback import PATIENCE, Client
from records import post, row
from served_models import scaled
from waiting import eventually

pytestmark = pytest.mark.served


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


@pytest.fixture
def pipeline(workshop: Workshop) -> Compiled:
    return workshop.compile("started", {"good": scaled(2)}, [{"name": "only", "model": "good"}])


def free_ports() -> tuple[int, int]:
    """Two ports that nobody has just now."""
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


def on_ports(workshop: Workshop, pipeline: Compiled, ports: tuple[int, int]) -> list[str]:
    """Give the command line of an engine that binds its own ports, as in a pod."""
    port, management_port = map(str, ports)
    flags = ["--port", port, "--management-port", management_port, "--workers", "2"]
    return workshop.command([pipeline], *flags, "--drain-delay", "100ms")


def try_to_start(command: Sequence[str]) -> tuple[int, str, str]:
    """Run an engine that will not start: exit code, output, complaint."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


@contextmanager
def started(command: Sequence[str], log_file: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start an engine without waiting for it."""
    with log_file.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def connects(port: int) -> bool:
    """Whether somebody listens there."""
    with suppress(ConnectionError):
        socket.create_connection((HOST, port), timeout=PATIENCE).close()
        return True
    return False


def damage_plan(pipeline: Compiled) -> None:
    pipeline.plan_file.write_text('{"namespace": "default", ')


def remove_plan(pipeline: Compiled) -> None:
    pipeline.plan_file.unlink()


def add_unknown_field(pipeline: Compiled) -> None:
    document = json.loads(pipeline.plan_file.read_text())
    pipeline.plan_file.write_text(json.dumps(document | {"surprise": 1}))


def damage_table(pipeline: Compiled) -> None:
    text = pipeline.routing_file.read_text()
    pipeline.routing_file.write_text(text.replace('"revision":1', '"revision":2'))


def swap_table(pipeline: Compiled) -> None:
    pipeline.write_table(pipeline.table.model_copy(update={"plan": "0" * 64, "hash": ""}).sealed())


def artifact(pipeline: Compiled) -> Path:
    """The only model's file in the store."""
    return pipeline.plan_file.parents[1] / "store" / pipeline.plan.models[0].digest


def remove_artifact(pipeline: Compiled) -> None:
    artifact(pipeline).unlink()


def cut_artifact(pipeline: Compiled) -> None:
    path = artifact(pipeline)
    path.write_bytes(path.read_bytes()[:-20])


def replace_artifact(pipeline: Compiled) -> None:
    artifact(pipeline).write_bytes(scaled(3))


def write_nonsense(pipeline: Compiled) -> None:
    artifact(pipeline).write_bytes(b"this is no model")


FAULTS: list[tuple[Callable[[Compiled], None], tuple[str, ...]]] = [
    (damage_plan, ("plan.json", "damaged")),
    (remove_plan, ("plan.json", "No such file")),
    (add_unknown_field, ("plan.json", "surprise")),
    (damage_table, ("routing.json", "hash does not match", "write it anew")),
    (swap_table, ("routing.json", "another plan")),
    (remove_artifact, ("model 'good'", "No such file")),
    (cut_artifact, ("model 'good'",)),
    (replace_artifact, ("model 'good'", "SHA-256")),
    (write_nonsense, ("model 'good'",)),
]


@pytest.mark.parametrize(("damage", "says"), FAULTS, ids=[fault.__name__ for fault, _ in FAULTS])
def test_what_cannot_be_served_is_refused_in_one_line(
    workshop: Workshop,
    pipeline: Compiled,
    damage: Callable[[Compiled], None],
    says: tuple[str, ...],
) -> None:
    damage(pipeline)
    code, output, complaint = try_to_start(on_ports(workshop, pipeline, free_ports()))
    assert (code, output) == (1, "")
    assert complaint.startswith("tiltyard_engine: ")
    assert complaint.count("\n") == 1
    assert all(part in complaint for part in says), complaint


@pytest.mark.parametrize("taken", [0, 1])
def test_a_port_that_is_taken_is_named_in_one_line(
    workshop: Workshop, pipeline: Compiled, taken: int
) -> None:
    ports = free_ports()
    with socket.create_server((HOST, ports[taken])):
        code, output, complaint = try_to_start(on_ports(workshop, pipeline, ports))
    assert (code, output) == (1, "")
    assert complaint == (
        f"tiltyard_engine: cannot listen on {HOST} port {ports[taken]}:"
        " something already listens there; stop it or choose another port\n"
    )


def test_a_second_engine_never_shares_the_ports_of_the_first(
    workshop: Workshop, pipeline: Compiled
) -> None:
    ports = free_ports()
    command = on_ports(workshop, pipeline, ports)
    with started(command, workshop.folder / "first.log"):
        eventually(lambda: connects(ports[0]))
        code, _, complaint = try_to_start(command)
    assert code == 1
    assert "something already listens there" in complaint


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--workers", "0"], "--workers"),
        (["--max-body", "lots"], "--max-body"),
        (["--header-timeout", "0s"], "write more than 0"),
        (["--grace", "soon"], "--grace"),
        (["--port", "70000"], "--port"),
        (["--surprise"], "--surprise"),
    ],
)
def test_a_wrong_flag_is_a_matter_of_usage(
    workshop: Workshop, pipeline: Compiled, flags: list[str], says: str
) -> None:
    code, _, complaint = try_to_start(workshop.command([pipeline], *flags))
    assert code == 2
    assert says in complaint.splitlines()[-1]


def test_whoever_can_connect_is_answered(workshop: Workshop, pipeline: Compiled) -> None:
    ports = free_ports()
    with started(on_ports(workshop, pipeline, ports), workshop.folder / "engine.log") as process:
        eventually(lambda: connects(ports[0]))
        with Client(socket.create_connection((HOST, ports[0]), timeout=PATIENCE)) as client:
            client.send(post([{"x": 2}], "started"))
            assert row(client.answer())["out"] == {"y": [4.0]}
        engine = Engine(process, *ports, workshop.folder / "engine.log")
        eventually(lambda: connects(ports[1]))
        eventually(lambda: engine.ask("/readyz")[0] == 200)


@contextmanager
def loading(
    workshop: Workshop, pipeline: Compiled, ports: tuple[int, int]
) -> Iterator["subprocess.Popen[bytes]"]:
    """Hold an engine up in the middle of reading its model."""
    path = artifact(pipeline)
    path.unlink()
    os.mkfifo(path)
    log_file = workshop.folder / "engine.log"
    with started(on_ports(workshop, pipeline, ports), log_file) as process:
        writing_end = eventually(lambda: opened(path))
        try:
            yield process
        finally:
            os.close(writing_end)


def opened(pipe: Path) -> int | None:
    """Open a pipe for writing once somebody reads it."""
    with suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None


def test_nobody_can_connect_while_a_model_is_still_to_be_loaded(
    workshop: Workshop, pipeline: Compiled
) -> None:
    """A pod that listened early would hold clients, and pass a TCP probe, while it may yet fail."""
    ports = free_ports()
    with loading(workshop, pipeline, ports):
        assert [connects(port) for port in ports] == [False, False]


def test_an_engine_that_is_told_to_end_while_it_loads_ends_at_once(
    workshop: Workshop, pipeline: Compiled
) -> None:
    with loading(workshop, pipeline, free_ports()) as process:
        process.terminate()
        assert process.wait(PATIENCE) == 0
    assert (workshop.folder / "engine.log").read_text() == ""
