"""Python models that fail in every way there is, in real processes."""

import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from programs import alive, descendants
from python_models import (
    DOUBLE,
    PATIENCE,
    ask,
    kept,
    made,
    running,
    until_served,
    written,
)
from tiltyard_api.reasons import Reason
from tiltyard_engine.columns import Array
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job, execute
from tiltyard_engine.model import ModelDownError, ModelError, ModelTimeoutError
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.state import Health
from waiting import await_that

LATE = 30.0
"""Seconds that a busy machine may take; what has no end here lasts a quarter of an hour."""

TROUBLE = """
import ctypes, mmap, os, signal, subprocess, sys, threading, time
import numpy as np

HELD = []

class Mute(Exception):
    def __str__(self):
        return 1 / 0

def loop():
    while True:
        pass

def fork_bomb():
    while True:
        try:
            os.fork()
        except OSError:
            pass

def leak_data():
    while True:
        HELD.append(bytearray(b"x" * (1 << 20)))

def leak_shared():
    while True:
        page = mmap.mmap(-1, 1 << 20)
        page[:] = b"x" * (1 << 20)
        HELD.append(page)

def many_processes():
    for _ in range(100):
        subprocess.Popen(["sleep", "1000"])
    time.sleep(1000)

def leave_group():
    child = "import os, time; os.setsid(); os.fork() and os._exit(0); time.sleep(1000)"
    subprocess.Popen([sys.executable, "-c", child])
    time.sleep(0.3)
    os._exit(1)

def print_much():
    for _ in range(100):
        sys.stdout.write(("x" * 999 + "\\n") * 1000)

def close_all():
    os.closerange(0, 256)

def endless_thread():
    threading.Thread(target=loop).start()

def exception(error):
    raise error

WHAT = {
    "fine": lambda: None,
    "raise": lambda: exception(ValueError("the number is odd\\nand more")),
    "raise 10 MB": lambda: exception(ValueError("x" * 10_000_000)),
    "raise what cannot be said": lambda: exception(Mute()),
    "raise KeyboardInterrupt": lambda: exception(KeyboardInterrupt()),
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(3),
    "abort": os.abort,
    "segfault": lambda: ctypes.string_at(0),
    "loop": loop,
    "sleep": lambda: time.sleep(1000),
    "ignore signals and sleep": lambda: (signal.pthread_sigmask(0, range(1, 65)), time.sleep(1000)),
    "fork bomb": fork_bomb,
    "many processes": many_processes,
    "leave the group": leave_group,
    "leak data": leak_data,
    "leak shared memory": leak_shared,
    "print 100 MB": print_much,
    "close all": close_all,
    "endless thread": endless_thread,
    "kill the parent": lambda: os.kill(os.getppid(), signal.SIGKILL),
    "kill the group of the parent": lambda: os.killpg(os.getpgid(os.getppid()), signal.SIGKILL),
    "write elsewhere": lambda: open(__file__ + ".new", "w"),
    "write here": lambda: open("here", "w").write("x"),
    "run deep": lambda: exec("def f(): f()\\nf()", {}),
}

def process_data(input_data):
    WHAT[input_data["what"][0]]()
    return {"y": np.ones(1, np.float32)}
"""

FIELDS = {
    "inputs": [{"name": "what", "type": "string"}],
    "timeout": "60s",
    "memory": "192Mi",
}

FAILS = {
    "raise": "ValueError: the number is odd",
    "raise 10 MB": "ValueError: xxxxxxxx",
    "raise what cannot be said": "Mute",
    "raise KeyboardInterrupt": "its worker ended with exit code 1",
    "sys.exit": "its worker ended with exit code 1",
    "os._exit": "its worker ended with exit code 3",
    "abort": "its worker was killed by SIGABRT",
    "segfault": "its worker was killed by SIGSEGV",
    "leak data": "MemoryError",
    "leak shared memory": "its worker was ended: it took more than 192 MiB of memory",
    "many processes": "its worker was ended: it started more than 64 processes",
    "leave the group": "its worker ended with exit code 1",
    "close all": "its worker ended with exit code 1",
    "write elsewhere": "PermissionError: ",
    "kill the parent": "PermissionError: ",
    "kill the group of the parent": "PermissionError: ",
    "run deep": "RecursionError: ",
}
TAKES_TOO_LONG = ["loop", "sleep", "ignore signals and sleep"]
HARMLESS = ["print 100 MB", "endless thread", "write here", "fine"]


def text(what: str) -> list[Array]:
    return [np.array([what], object)]


@pytest.fixture
def trouble(tmp_path: Path) -> Iterator[PythonModel]:
    with running(tmp_path, TROUBLE, **FIELDS) as model:
        yield model


@contextmanager
def troubled(folder: Path) -> Iterator[tuple[PythonModel, int]]:
    """Run the same; also gives the process that all its others are below."""
    model = made(written(folder / "model", TROUBLE), **FIELDS)
    with kept(model) as keeper:
        assert model.wait_loaded(PATIENCE) is None
        yield model, keeper


def memory() -> int:
    """Most that this process ever held: an engine must not grow by what a worker does."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("what", FAILS)
def test_a_failure_is_told_in_time_and_the_next_call_is_served(
    trouble: PythonModel, what: str
) -> None:
    before, start = memory(), time.monotonic()
    with pytest.raises(ModelError) as caught:
        trouble.run(text(what))
    assert str(caught.value).startswith(FAILS[what])
    assert len(str(caught.value)) <= 600
    assert time.monotonic() - start < LATE
    until_served(trouble, text("fine"))
    assert memory() - before < 4 << 20


@pytest.mark.parametrize("what", TAKES_TOO_LONG)
def test_a_call_past_its_timeout_ends_its_worker(tmp_path: Path, what: str) -> None:
    with running(tmp_path, TROUBLE, **FIELDS | {"timeout": "2s"}) as trouble:
        start = time.monotonic()
        with pytest.raises(ModelTimeoutError, match="took longer than 2 s"):
            trouble.run(text(what))
        assert time.monotonic() - start < LATE
        await_that(lambda: trouble.state.deaths == 1)
        assert trouble.state.words == "was ended: a call took longer than 2 s"
        until_served(trouble, text("fine"))


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_no_failure_is_answered(trouble: PythonModel, what: str) -> None:
    before = memory()
    for _ in range(3):
        (output,) = trouble.run(text(what))
        assert output.tolist() == [1.0]
    assert trouble.state.deaths == 0
    assert memory() - before < 4 << 20


@pytest.mark.parametrize("what", ["fork bomb", "leave the group"])
def test_all_that_a_worker_started_ends_with_it(tmp_path: Path, what: str) -> None:
    with troubled(tmp_path) as (model, keeper):
        with pytest.raises(ModelError):
            model.run(text(what))
        until_served(model, text("fine"))
        await_that(lambda: len(descendants(keeper)) == 1)


def test_others_are_served_meanwhile(tmp_path: Path) -> None:
    first = made(written(tmp_path / "trouble", TROUBLE), **FIELDS, name="first", workers=2)
    other = made(written(tmp_path / "other", DOUBLE), name="other")
    with ThreadPoolExecutor(1) as pool, kept(first, other):
        for model in (first, other):
            assert model.wait_loaded(PATIENCE) is None
        hangs = pool.submit(first.run, text("sleep"))
        for _ in range(20):
            first.run(text("fine"))
            ask(other, 1)
        assert not hangs.done()


def test_a_call_that_waited_too_long_costs_no_worker(tmp_path: Path) -> None:
    source = """
        import time
        def process_data(input_data):
            time.sleep(2)
            return {"y": input_data["x"]}
    """
    with (
        running(tmp_path, source, timeout="3.5s") as model,
        ThreadPoolExecutor(4) as pool,
    ):
        calls = [pool.submit(model.run, [np.ones(1, np.float32)]) for _ in range(4)]
        faults = [call.exception() for call in calls]
        assert [type(fault) for fault in faults].count(type(None)) == 1
        assert all(isinstance(fault, ModelTimeoutError | None) for fault in faults)
        until_served(model, [np.ones(1, np.float32)])
        assert model.state.deaths == 0


CANNOT_LOAD = {
    "import nowhere": "ModuleNotFoundError: No module named 'nowhere'",
    "def process_data(": "SyntaxError: ",
    "import sys; sys.exit(1)": "SystemExit: 1",
    "def load(path): open(path + '/none')\ndef process_data(x): pass": "FileNotFoundError: ",
    "raise ValueError('x' * 10_000_000)": "ValueError: xxxxxx",
}


@pytest.mark.parametrize("source", CANNOT_LOAD)
def test_a_model_that_cannot_be_loaded_says_why(tmp_path: Path, source: str) -> None:
    model = made(written(tmp_path / "model", source))
    with kept(model):
        fault = model.wait_loaded(PATIENCE)
    assert fault is not None
    assert fault.startswith(f"could not start: model.py cannot be loaded: {CANNOT_LOAD[source]}")
    assert len(fault) <= 600


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (
            {"model.py": "x = 1"},
            "model.py has no function process_data(input_data): add it",
        ),
        (
            {"model.py": "process_data = 1"},
            "model.py has no function process_data(input_data): ",
        ),
        (
            {"README": ""},
            "no model.py at the top of the archive (modules there: none): add it",
        ),
        (
            {"a.py": "", "b.py": ""},
            "no model.py at the top of the archive (modules there: a.py, b",
        ),
    ],
)
def test_an_artifact_that_is_no_model_says_why(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    model = made(tmp_path)
    with kept(model):
        fault = model.wait_loaded(PATIENCE)
    assert fault is not None
    assert fault.startswith(f"could not start: {words}")


def test_workers_that_keep_dying_are_down_and_come_back(tmp_path: Path) -> None:
    source = TROUBLE + "\nif os.path.exists(os.path.dirname(__file__) + '/broken'): os._exit(9)\n"
    with running(tmp_path, source, **FIELDS) as model:
        (tmp_path / "model" / "broken").touch()
        with pytest.raises(ModelError):
            model.run(text("os._exit"))
        await_that(lambda: model.state.health is Health.DOWN)
        (outcome,) = execute(model, [Job({"what": text("fine")[0]}, 1)], None)
        assert isinstance(outcome, Refusal)
        assert outcome.reason is Reason.NOT_READY
        assert "its last worker ended with exit code 9" in outcome.message
        assert model.state.deaths == 5
        (tmp_path / "model" / "broken").unlink()
        until_served(model, text("fine"))
        assert model.why_down() is None


def test_calls_that_wait_for_workers_that_never_come_are_let_go(tmp_path: Path) -> None:
    model = made(written(tmp_path / "model", "import os; os._exit(7)"), timeout="100s")
    with ThreadPoolExecutor(4) as pool, kept(model):
        calls = [pool.submit(ask, model, 1) for _ in range(4)]
        faults = [call.exception() for call in calls]
        assert all(isinstance(fault, ModelError) for fault in faults)
        assert not any(isinstance(fault, ModelTimeoutError) for fault in faults)
        with pytest.raises(ModelDownError, match="ended with exit code 7"):
            ask(model, 1)


ENGINE = """
import sys, time
from pathlib import Path
sys.path.insert(0, {support!r})
from python_models import made, kept, ask
model = made(Path({folder!r}))
with kept(model):
    assert model.wait_loaded(30) is None
    print("up", flush=True)
    time.sleep(1000)
"""


def test_nothing_survives_an_engine_that_is_killed(tmp_path: Path) -> None:
    source = """
        import subprocess
        subprocess.Popen(["sleep", "1000"])
        def process_data(input_data):
            return {"y": input_data["x"]}
    """
    folder = written(tmp_path / "model", source)
    support = str(Path(__file__).parents[2] / "support")
    program = textwrap.dedent(ENGINE.format(support=support, folder=str(folder)))
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
        try:
            assert engine.stdout
            assert engine.stdout.readline() == "up\n"
            below = descendants(engine.pid)
            assert len(below) == 3  # its keeper, the worker, and what that started
        finally:
            engine.kill()
    await_that(lambda: not any(alive(pid) for pid in below))


def test_a_keeper_that_is_killed_takes_its_workers_along(tmp_path: Path) -> None:
    with troubled(tmp_path) as (_, keeper):
        (worker,) = descendants(keeper)
        os.kill(keeper, signal.SIGKILL)
        await_that(lambda: not alive(worker))


def test_a_flood_of_lines_is_counted_and_not_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with running(tmp_path, TROUBLE, **FIELDS) as model:
        model.run(text("print 100 MB"))
    logged = capfd.readouterr().err
    assert len(logged) < 1 << 20
    lines = [json.loads(line)["line"] for line in logged.splitlines() if "printed" in line]
    dropped = [int(line.split()[0][1:]) for line in lines if "were not logged" in line]
    whole = [line for line in lines if line == "x" * 999]
    assert sum(dropped) + len(whole) == pytest.approx(100_000, rel=0.01)
