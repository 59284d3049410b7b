"""Looks after the workers of Python models: starts them, watches them, ends them, starts others.

A process of its own below the supervisor, and the parent of all workers. It touches no call: what
it does late, no caller waits for.
"""

import ctypes
import json
import os
import selectors
import shutil
import signal
import socket
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tiltyard_engine.log import log
from tiltyard_engine.parents import end_with_parent
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.lines import Lines
from tiltyard_engine.python.process import Worker, end_strays, groups
from tiltyard_engine.python.state import Health
from tiltyard_engine.python.worker.serve import DESCRIPTOR, MESSAGE, RIGHTS_BYTES

TICK_SECONDS = 0.1
"""How often memory and running times are looked at."""

CROWD_SECONDS = 1.0
"""How often the processes of a busy worker's group are counted."""

MOST_PROCESSES = 64
"""Of one worker's group."""

LOAD_SECONDS = 120.0
"""How long a model may take to load."""

RESTART_SECONDS = (0.0, 0.0, 0.1, 0.5, 1.0, 10.0)
"""Pause before a worker is started again, by how many died in a row."""

HEALTHY_SECONDS = 30.0
"""A worker that lived this long starts from the shortest pause again."""

DOWN_SECONDS = 2.0
"""Calls do not wait for workers that are started later than this."""

PR_SET_CHILD_SUBREAPER = 36
READ_BYTES = 1 << 20


@dataclass(slots=True)
class Slot:
    """The place of one worker: who is in it, or when the next one is due."""

    model: PythonModel
    number: int
    worker: Worker | None = None
    lines: Lines = field(default_factory=Lines)
    started: float = 0.0
    loaded: bool = False
    why: str = ""
    """Why we ended it, or what it said of its own end."""

    deaths: int = 0
    due: float = 0.0


def run_keeper(models: Sequence[PythonModel], scratch: Path) -> None:
    """Keep workers until SIGTERM."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor says when
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # who starts us may hold signals back
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    keeper = Keeper(models, scratch, told)
    try:
        while keeper.turn():
            pass
    finally:
        keeper.end()


@contextmanager
def keeping(models: Sequence[PythonModel], scratch: Path) -> Iterator[int]:
    """Keep workers, by a child process, for the length of a block; gives its number."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # idle threads hold no lock of ours
        pid = os.fork()
    if not pid:
        code = 1
        try:
            end_with_parent()
            run_keeper(models, scratch)
            code = 0
        finally:
            os._exit(code)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)


class Keeper:
    """All workers of an engine."""

    def __init__(self, models: Sequence[PythonModel], scratch: Path, told: int) -> None:
        """Look after the workers of these models until `told` can be read."""
        self._scratch = scratch / "python"
        shutil.rmtree(self._scratch, ignore_errors=True)  # of one that was killed
        self._scratch.mkdir(parents=True)
        self._models = models
        for model in models:
            model.queue.close()  # only engines ask
        self._slots = [Slot(model, n) for model in models for n in range(model.workers)]
        self._totals = [0] * len(models)
        self._selector = selectors.DefaultSelector()
        self._selector.register(told, selectors.EVENT_READ)
        self._counted = 0.0

    def turn(self) -> bool:
        """Do what is due; then wait for news, but not for long. False: it is time to end."""
        now = time.monotonic()
        for slot in self._slots:
            if slot.worker is None and slot.due <= now:
                self._start(slot, now)
        for key, _ in self._selector.select(TICK_SECONDS):
            if not isinstance(key.data, Slot):
                return False
            self._news(key.data, int(key.fd))
        self._watch(time.monotonic())
        for model in self._models:
            self._tell(model)
        return True

    def end(self) -> None:
        """End every worker."""
        for slot in self._slots:
            if slot.worker:
                slot.worker.kill()
        for slot in self._slots:
            if slot.worker:
                self._clear(slot, slot.worker)
        end_strays(set())
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _start(self, slot: Slot, now: float) -> None:
        slot.started, slot.loaded, slot.why, slot.lines = now, False, "", Lines()
        try:
            slot.worker = worker = Worker(slot.model, self._scratch)
        except OSError as error:
            slot.why = f"could not be started: {error.strerror}"
            self._dead(slot, None)
            return
        for descriptor in (worker.output, worker.report, worker.exit):
            self._selector.register(descriptor, selectors.EVENT_READ, slot)

    def _news(self, slot: Slot, descriptor: int) -> None:
        """Read what a worker printed or reported, or bury it."""
        worker = slot.worker
        if worker is None:  # it was buried in this very turn
            return
        if descriptor == worker.exit:
            self._bury(slot, worker)
        elif descriptor == worker.report:
            self._selector.unregister(descriptor)
            self._reported(slot, os.read(descriptor, 1 << 16))
        elif not self._print(slot, worker):
            self._selector.unregister(descriptor)

    def _reported(self, slot: Slot, text: bytes) -> None:
        """Take note that a model was loaded, or why not."""
        with suppress(ValueError, AttributeError, RecursionError):  # the model may write it too
            fault = json.loads(text).get("fault")
            slot.loaded = fault is None
            slot.why = "" if fault is None else f"could not start: {fault}"[:1000]

    def _print(self, slot: Slot, worker: Worker) -> bool:
        """Log what a worker printed; False where nothing more will come."""
        try:
            data = os.read(worker.output, READ_BYTES)
        except BlockingIOError:
            return True
        for line in slot.lines.feed(data, time.monotonic()):
            self._say(slot, line)
        return bool(data)

    def _say(self, slot: Slot, line: str) -> None:
        log(
            "a Python model printed",
            model=slot.model.model.name,
            worker=slot.number,
            line=line,
        )

    def _bury(self, slot: Slot, worker: Worker) -> None:
        """Clear a worker away that has ended, and whom it left behind."""
        code = self._clear(slot, worker)
        end_strays({slot.worker.pid for slot in self._slots if slot.worker})
        self._dead(slot, code)

    def _clear(self, slot: Slot, worker: Worker) -> int:
        """Log the last of what it printed, and free what it held; returns its exit code."""
        worker.kill()  # whoever still writes into the pipe
        for _ in range(16):
            if not self._print(slot, worker):
                break
        for line in slot.lines.end():
            self._say(slot, line)
        for descriptor in (worker.output, worker.report, worker.exit):
            with suppress(KeyError):
                self._selector.unregister(descriptor)
        slot.worker = None
        return worker.bury()

    def _dead(self, slot: Slot, code: int | None) -> None:
        """Say how a worker ended, and when the next one starts."""
        now = time.monotonic()
        slot.why = slot.why or _how_it_ended(code)
        slot.deaths = 1 if now - slot.started > HEALTHY_SECONDS else slot.deaths + 1
        pause = RESTART_SECONDS[min(slot.deaths, len(RESTART_SECONDS) - 1)]
        slot.due = now + pause
        slot.loaded = False
        index = self._models.index(slot.model)
        self._totals[index] += 1
        name = slot.model.model.name
        log(
            "a worker of a Python model ended",
            model=name,
            worker=slot.number,
            why=slot.why,
        )
        health = self._health(slot.model)
        slot.model.state.write(health, self._totals[index], slot.why)
        if health is Health.DOWN:
            log("a Python model is down", model=name, seconds=pause, why=slot.why)
            _refuse_waiting(slot.model.workers_end)

    def _health(self, model: PythonModel) -> Health:
        slots = [slot for slot in self._slots if slot.model is model]
        soon = time.monotonic() + DOWN_SECONDS
        if any(slot.loaded for slot in slots):
            return Health.UP
        # One that is tried after a long pause must load before anybody waits for it.
        trying = [s for s in slots if s.worker or s.due <= soon]
        return (
            Health.STARTING
            if any(s.deaths < len(RESTART_SECONDS) - 1 for s in trying)
            else (Health.DOWN)
        )

    def _tell(self, model: PythonModel) -> None:
        health, state = self._health(model), model.state
        if state.health is not health:
            state.write(health, state.deaths, state.words)

    def _watch(self, now: float) -> None:
        """End workers that took too long or too much."""
        count = now - self._counted >= CROWD_SECONDS and any(
            slot.worker and slot.worker.busy_since for slot in self._slots
        )
        crowds = groups() if count else {}
        self._counted = now if count else self._counted
        for slot in self._slots:
            worker, plan = slot.worker, slot.model.model
            if worker is None or slot.why:
                continue
            since, memory = worker.busy_since, plan.memory or 0
            crowd = crowds.get(worker.pid)
            resident = max(worker.resident(), crowd.resident if crowd else 0)
            if since and time.monotonic_ns() - since > plan.timeout * 1e9:
                slot.why = f"was ended: a call took longer than {plan.timeout:g} s"
            elif not slot.loaded and now - slot.started > LOAD_SECONDS:
                slot.why = f"was ended: loading took longer than {LOAD_SECONDS:g} s"
            elif resident > memory:
                slot.why = f"was ended: it took more than {memory >> 20} MiB of memory"
            elif crowd and crowd.processes > MOST_PROCESSES:
                slot.why = f"was ended: it started more than {MOST_PROCESSES} processes"
            if slot.why:
                worker.kill()


def _refuse_waiting(queue: socket.socket) -> None:
    """Let go of calls that nobody will take: their callers see the socket closed."""
    while True:
        try:
            message, ancillary, _, _ = queue.recvmsg(MESSAGE, RIGHTS_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not message:  # the engine is gone
            return
        for _, _, data in ancillary:
            for (descriptor,) in DESCRIPTOR.iter_unpack(data):
                os.close(descriptor)


def _how_it_ended(code: int | None) -> str:
    if code is None:
        return "could not be started"
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
