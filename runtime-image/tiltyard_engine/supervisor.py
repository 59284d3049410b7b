"""The root of the process tree: loads once, forks workers, restarts those that die.

It never runs a thread, an event loop or a model's code after the fork, so that nothing it depends
on can be broken by what it serves, and so that a fork is always safe.
"""

import ctypes
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass

from tiltyard_engine.counters import CounterFile, Layout
from tiltyard_engine.http.server import bind
from tiltyard_engine.load import load
from tiltyard_engine.log import log
from tiltyard_engine.management import run_management
from tiltyard_engine.metrics import READY, engine_series
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.settings import Settings
from tiltyard_engine.worker import run_worker

PR_SET_PDEATHSIG = 1
"""prctl(2): a signal to get when the parent dies."""

RESTART_SECONDS = (0.0, 0.1, 0.5, 1.0, 5.0)
"""Pause before a child is started again, by how often it died in a row."""

HEALTHY_SECONDS = 30.0
"""A child that lived this long starts from the shortest pause again."""

EXTRA_SECONDS = 5.0
"""Beyond delay and grace, before children that do not end are killed."""

SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass(slots=True)
class Child:
    """A process of the tree and how to make it."""

    name: str
    run: Callable[[], None]
    pid: int = 0
    started: float = 0.0
    deaths: int = 0
    due: float = 0.0
    """When to start it; only where `pid` is 0."""


class Supervisor:
    """Starts children and keeps them until it is told to end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        management = bind(settings.management_host, settings.management_port, 1)[0]
        self._sockets = bind(settings.host, settings.port, settings.workers)
        loaded = load(settings)
        settings.state.mkdir(parents=True, exist_ok=True)
        counters = CounterFile(
            settings.state / "counters",
            Layout(engine_series([one.plan for one in loaded])),
            settings.workers,
        )
        self._counters = counters
        self._workers = [
            Child(f"worker {n}", self._worker(n, loaded)) for n in range(settings.workers)
        ]
        self._management = Child("management", lambda: run_management(loaded, counters, management))

    def _worker(self, number: int, loaded: list[Loaded]) -> Callable[[], None]:
        def run() -> None:
            for other, listening in enumerate(self._sockets):
                if other != number:
                    listening.close()
            block = self._counters.blocks[number]
            run_worker(self._settings, loaded, block, self._sockets[number])

        return run

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT. Returns the exit code."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        children = [self._management, *self._workers]
        while True:
            self._start_due(children)
            received = signal.sigtimedwait(SIGNALS, self._pause(children))
            number = received.si_signo if received else None
            if number == signal.SIGCHLD:
                self._reap(children)
            elif number == signal.SIGHUP:
                _send(self._workers, signal.SIGHUP)
            elif number in (signal.SIGTERM, signal.SIGINT):
                return self._end()

    def _start_due(self, children: list[Child]) -> None:
        now = time.monotonic()
        for child in children:
            if not child.pid and child.due <= now:
                child.started = now
                child.pid = _fork(child)

    def _pause(self, children: list[Child]) -> float:
        """Seconds until the next child is due."""
        due = [child.due for child in children if not child.pid]
        return max(min(due) - time.monotonic(), 0.001) if due else 3600.0

    def _reap(self, children: list[Child]) -> None:
        """Note who died, and when to start it again."""
        while (died := _wait_any()) is not None:
            pid, status = died
            for child in children:
                if child.pid == pid:
                    self._schedule(child, status)

    def _schedule(self, child: Child, status: int) -> None:
        now = time.monotonic()
        child.deaths = 0 if now - child.started > HEALTHY_SECONDS else child.deaths + 1
        child.pid = 0
        child.due = now + RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        code = os.waitstatus_to_exitcode(status)
        log("a process died and is started again", process=child.name, exit_code=code)
        if child in self._workers:
            block = self._counters.blocks[self._workers.index(child)]
            block.words[block.offset(READY.metric)] = 0

    def _end(self) -> int:
        """Let the workers finish, then the management port, then leave."""
        for listening in self._sockets:
            listening.close()
        _send(self._workers, signal.SIGTERM)
        wait = self._settings.drain_delay + self._settings.grace + EXTRA_SECONDS
        in_time = _wait_for(self._workers, wait)
        _send([self._management], signal.SIGTERM)
        _wait_for([self._management], EXTRA_SECONDS)
        return 0 if in_time else 1


def _fork(child: Child) -> int:
    """Start a child; returns its pid. The child itself never returns."""
    with warnings.catch_warnings():
        # onnxruntime keeps an idle thread from its import; it holds no lock of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
        child.run()
        code = 0
    except BaseException:  # noqa: BLE001 - the last frame of the process
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _send(children: list[Child], number: signal.Signals) -> None:
    for child in children:
        if child.pid:
            os.kill(child.pid, number)


def _wait_any() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _wait_for(children: list[Child], wait: float) -> bool:
    """Wait until children have ended; kill those that have not. True when none had to be."""
    deadline = time.monotonic() + wait
    left = {child.pid for child in children if child.pid}
    while left and time.monotonic() < deadline:
        while (died := _wait_any()) is not None:
            left.discard(died[0])
        if left:
            signal.sigtimedwait({signal.SIGCHLD}, 0.2)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return not left
