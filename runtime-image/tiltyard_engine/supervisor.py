"""The root of the process tree: loads once, forks workers, restarts those that die.

It never runs a thread, an event loop or a model's code after the fork, so that nothing it depends
on can be broken by what it serves, and so that a fork is always safe.
"""

import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from tiltyard_engine.challengers import make_ring, needs_challengers, run_challengers
from tiltyard_engine.counters import Block, CounterFile, Layout
from tiltyard_engine.disagreements import make_slates
from tiltyard_engine.feedback.experiment import Opened
from tiltyard_engine.feedback.keys import KeysError
from tiltyard_engine.garbage import settle
from tiltyard_engine.grpcport import prepare
from tiltyard_engine.http.listener import bind
from tiltyard_engine.inforce import forget
from tiltyard_engine.load import LoadError, load
from tiltyard_engine.log import log
from tiltyard_engine.management import run_management
from tiltyard_engine.metrics import READY, engine_series
from tiltyard_engine.parents import end_with_parent
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.keeper import run_keeper
from tiltyard_engine.python.starting import python_models, wait_loaded
from tiltyard_engine.recording.streams import streams_of
from tiltyard_engine.recording.ways import Ways
from tiltyard_engine.settings import Settings
from tiltyard_engine.signals import ENDINGS, SIGNALS, hold
from tiltyard_engine.worker import Ports, run_worker

RESTART_SECONDS = (0.0, 0.1, 0.5, 1.0, 5.0)
"""Pause before a child is started again, by how often it died in a row."""

HEALTHY_SECONDS = 30.0
"""A child that lived this long starts from the shortest pause again."""

LAST_WORD_SECONDS = 3.0
"""How long sums of feedback, and of what challengers did, can be read after the last answer: an
operator that follows a pod which goes looks every second."""

EXTRA_SECONDS = 5.0
"""Beyond delay and grace, before children that do not end are killed."""

WRITE_SECONDS = 20.0
"""Likewise, for what writes records: it may have just begun, on a slow disk."""


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

    holds: bool = False
    """Whether it hears signals when it says so itself: it has much to do before, and after."""


class Supervisor:
    """Starts children and keeps them until it is told to end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        prepare(settings)
        loaded = load(settings)
        self._ports: list[Ports] = []
        self._keeper = self._keep(loaded)
        # Not before: nobody may wait at a port whose engine can still turn out not to start.
        management, self._ports = _listen(settings)
        settle()
        settings.state.mkdir(parents=True, exist_ok=True)
        plans, streams = [one.plan for one in loaded], streams_of(loaded)
        told = [stream.labels for stream in streams]
        series = engine_series(plans, watched=settings.watch is not None, streams=told)
        counters = CounterFile(settings.state / "counters", Layout(series), settings.workers)
        for block in counters.blocks:
            _not_ready(block)  # the file may tell of a process that was killed
            for one in loaded:
                forget(block, one.plan.pipeline)
        self._counters = counters
        loaded = [_with_experiment(one, settings) for one in loaded]
        self._counts_feedback = any(one.experiment for one in loaded)
        self._ways = Ways(streams, counters) if streams else None
        self._recorder = [Child("recorder", self._record, holds=True)] if streams else []
        self._rings = [make_ring(loaded, block) for block in counters.blocks]
        self._slates = [make_slates(plans) for _ in counters.blocks]
        numbers = range(settings.workers)
        self._workers = [Child(f"worker {n}", self._worker(n, loaded)) for n in numbers]
        self._challengers = [
            Child(f"challengers {n}", self._challenge(n, loaded))
            for n in (numbers if needs_challengers(loaded) else ())
        ]
        self._management = Child("management", lambda: self._manage(loaded, management))
        self._children = [
            *self._keeper,
            self._management,
            *self._workers,
            *self._challengers,
            *self._recorder,
        ]

    def _keep(self, loaded: list[Loaded]) -> list[Child]:
        """Start the keeper of the Python models, if there are any, and wait until they answer.

        Raises:
            LoadError: one that callers wait for cannot.

        """
        models = python_models(loaded)
        if not models:
            return []
        keeper = Child("python", lambda: self._run_keeper(models), started=time.monotonic())
        keeper.pid = _fork(keeper)
        try:
            wait_loaded(loaded)
        except BaseException:
            os.kill(keeper.pid, signal.SIGTERM)
            os.waitpid(keeper.pid, 0)
            raise
        return [keeper]

    def _run_keeper(self, models: list[PythonModel]) -> None:
        """Keep workers; ports and pipes of the engine are none of its business."""
        starter = self._settings.starter
        ours: set[int | None] = {
            *starter.data_sockets,
            *starter.grpc_sockets,
            starter.management_socket,
        }
        ours |= {one.fileno() for ports in self._ports for one in ports if one}
        ours.add(starter.ready_pipe)
        for descriptor in ours:
            if descriptor is not None:
                os.close(descriptor)
        run_keeper(models, self._settings.state)

    def _worker(self, number: int, loaded: list[Loaded]) -> Callable[[], None]:
        def run() -> None:
            for other, ports in enumerate(self._ports):
                if other != number:
                    ports.close()
            block = self._counters.blocks[number]
            ring = self._rings[number]
            recordings = self._ways.recordings(block, number) if self._ways else {}
            run_worker(self._settings, loaded, block, self._ports[number], ring, recordings)

        return run

    def _challenge(self, number: int, loaded: list[Loaded]) -> Callable[[], None]:
        def run() -> None:
            for ports in self._ports:  # as in `_manage`
                ports.close()
            block = self._counters.blocks[number]
            records = self._ways.challengers_records(block, number) if self._ways else {}
            run_challengers(loaded, block, self._rings[number], records, self._slates[number])

        return run

    def _record(self) -> None:
        for ports in self._ports:  # as in `_manage`
            ports.close()
        # What it needs is large, and no other process needs it.
        from tiltyard_engine.recording.opening import run_recorder  # noqa: PLC0415 - see above

        if self._ways:
            run_recorder(self._settings, self._ways, self._counters)

    def _manage(self, loaded: list[Loaded], listening: socket.socket) -> None:
        for ports in self._ports:  # a copy left open would go on taking connections for nobody
            ports.close()
        run_management(self._settings, loaded, self._counters, self._slates, listening)

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT, or until another engine took over (SIGUSR1).

        Returns the exit code.
        """
        hold()
        while True:
            self._start_due()
            received = signal.sigtimedwait(SIGNALS, self._pause())
            number = received.si_signo if received else None
            if number == signal.SIGCHLD:
                for child, status in self._dead():
                    self._schedule(child, status)
            elif number == signal.SIGHUP:
                _send(self._workers, signal.SIGHUP)
            elif number == signal.SIGUSR1:
                return self._give_way()
            elif number in ENDINGS:
                return self._end()

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if not child.pid and child.due <= now:
                child.started = now
                child.pid = _fork(child)

    def _pause(self) -> float:
        """Seconds until the next child is due."""
        due = [child.due for child in self._children if not child.pid]
        return max(min(due) - time.monotonic(), 0.001) if due else 3600.0

    def _dead(self) -> Iterator[tuple[Child, int]]:
        """Children that have ended since we last asked, with their wait status."""
        while (died := _wait_any()) is not None:
            pid, status = died
            for child in self._children:
                if child.pid == pid:
                    child.pid = 0
                    yield child, status

    def _schedule(self, child: Child, status: int) -> None:
        now = time.monotonic()
        child.deaths = 0 if now - child.started > HEALTHY_SECONDS else child.deaths + 1
        child.due = now + RESTART_SECONDS[min(child.deaths, len(RESTART_SECONDS) - 1)]
        code = os.waitstatus_to_exitcode(status)
        log("a process died and is started again", process=child.name, exit_code=code)
        if child in self._workers:
            _not_ready(self._counters.blocks[self._workers.index(child)])

    def _give_way(self) -> int:
        """End beside an engine that serves on the same sockets: leave them to it at once."""
        _send([self._management], signal.SIGTERM)
        _send(self._workers, signal.SIGUSR1)
        return self._end()

    def _end(self) -> int:
        """Let workers finish, then challengers, then what writes records, then all else."""
        for ports in self._ports:
            ports.close()
        _send(self._workers, signal.SIGTERM)
        wait = self._settings.drain_delay + self._settings.grace + EXTRA_SECONDS
        in_time = self._wait_for(self._workers, wait)
        if self._settings.watch and (self._counts_feedback or self._challengers):
            time.sleep(LAST_WORD_SECONDS)  # nobody asks any more: now it can be read once more
        last = [*self._keeper, self._management]
        for children in (self._challengers, self._recorder, last):
            _send(children, signal.SIGTERM)
            self._wait_for(children, WRITE_SECONDS if children is self._recorder else EXTRA_SECONDS)
        return 0 if in_time else 1

    def _wait_for(self, children: list[Child], wait: float) -> bool:
        """Wait until children have ended; kill those that have not. True when none had to be."""
        deadline = time.monotonic() + wait
        while any(child.pid for child in children) and time.monotonic() < deadline:
            if list(self._dead()):
                continue
            received = signal.sigtimedwait({signal.SIGCHLD, signal.SIGHUP}, 0.2)
            if received and received.si_signo == signal.SIGHUP:
                _send(self._workers, signal.SIGHUP)  # what still answers goes by the newest table
        late = [child for child in children if child.pid]
        _send(late, signal.SIGKILL)
        for child in late:
            os.waitpid(child.pid, 0)
        return not late


def _with_experiment(one: Loaded, settings: Settings) -> Loaded:
    """Open what the feedback of a Pipeline is summed up in.

    Raises:
        LoadError: it cannot be.

    """
    if one.plan.experiment is None:
        return one
    try:
        keys = settings.id_keys.get(one.plan.pipeline)
        opened = Opened(one.plan, one.table.pipeline_uid, settings.sums, keys)
    except (KeysError, OSError) as error:
        raise LoadError(f"the experiment of {one.plan.pipeline!r} cannot begin: {error}") from error
    return replace(one, experiment=opened)


def _not_ready(block: Block) -> None:
    block.words[block.offset(READY.metric)] = 0


def _listen(settings: Settings) -> tuple[socket.socket, list[Ports]]:
    """Sockets of the management port and of the workers: those we were given, or our own."""
    starter = settings.starter
    if starter.management_socket is not None:
        data, grpc = map(_opened, (starter.data_sockets, starter.grpc_sockets))
        return socket.socket(fileno=starter.management_socket), _ports(data, grpc)
    management = bind(settings.management_host, settings.management_port, 1)[0]
    data = bind(settings.host, settings.port, settings.workers)
    if settings.grpc_port is None:
        return management, _ports(data, [])
    return management, _ports(data, bind(settings.host, settings.grpc_port, settings.workers))


def _opened(numbers: Sequence[int]) -> list[socket.socket]:
    return [socket.socket(fileno=number) for number in numbers]


def _ports(data: list[socket.socket], grpc: list[socket.socket]) -> list[Ports]:
    return [Ports(*each) for each in zip_longest(data, grpc)]


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
        end_with_parent()
        for number in ENDINGS:
            signal.signal(number, signal.SIG_DFL)
        # A worker reads its table when it can hear; until then it must not die of being told.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if not child.holds:
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
