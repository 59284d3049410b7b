"""One worker: a process group with a folder, a page that tells when it is busy, and an end."""

import contextlib
import fcntl
import json
import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tiltyard_engine import NO_TELEMETRY
from tiltyard_engine.python import worker
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.segments import sealed
from tiltyard_engine.python.worker.serve import Task

PAGE = os.sysconf("SC_PAGE_SIZE")
STATM_BYTES = 256
"""More than seven numbers have."""

PIPE_BYTES = 1 << 20
"""Room for what is printed: whoever prints much seldom waits for us."""

PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "PATH", "TZ")
"""Of our environment: nothing that may hold a secret."""


class Worker:
    """A process that was started for a model."""

    def __init__(self, model: PythonModel, scratch: Path) -> None:
        self.model = model
        self._folder = Path(tempfile.mkdtemp(prefix="worker-", dir=scratch))
        cell = sealed("busy", PAGE)
        self._cell = mmap.mmap(cell, PAGE, prot=mmap.PROT_READ)
        self.output, output = os.pipe()
        self.report, report = os.pipe()
        with contextlib.suppress(OSError):  # a bound of the user's on pipes
            fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self.output, False)
        try:
            self._process = self._start(cell, report, output)
        finally:
            for descriptor in (cell, output, report):
                os.close(descriptor)
        self.pid = self._process.pid
        self._statm = os.open(f"/proc/{self.pid}/statm", os.O_RDONLY)
        """Kept open: it is read so often that looking it up would cost more than reading."""

        own = os.getpriority(os.PRIO_PROCESS, 0)  # only root may give it more than that
        os.setpriority(os.PRIO_PROCESS, self.pid, max(model.nice, own))
        self.exit = os.pidfd_open(self.pid)
        """Becomes readable when it has ended."""

    def _start(self, cell: int, report: int, output: int) -> "subprocess.Popen[bytes]":
        plan = self.model.model
        queue = self.model.workers_end.fileno()
        task = Task(
            keeper=os.getpid(),
            path=str(self.model.artifact.path),
            memory=plan.memory or 0,
            queue=queue,
            report=report,
            cell=cell,
            inputs={one.graph_name: one.type.value for one in plan.inputs},
            outputs={one.graph_name: one.type.value for one in plan.outputs},
        )
        # -I: neither variables nor the user's own packages reach in; -B: it may write nowhere.
        command = [
            str(self.model.artifact.interpreter),
            *("-I", "-B", "-X", "faulthandler"),
        ]
        return subprocess.Popen(  # noqa: S603 - our own program
            [*command, str(Path(worker.__file__).parent), json.dumps(asdict(task))],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=self._folder,
            env=_environment(self._folder, plan.threads),
            pass_fds=(queue, cell, report),
            start_new_session=True,
        )

    @property
    def busy_since(self) -> int:
        """Moment of the monotonic clock at which its call began, in nanoseconds; 0: it is idle."""
        since: int = struct.unpack_from("<q", self._cell)[0]
        return since

    def resident(self) -> int:
        """Bytes of memory that it holds."""
        try:
            return int(os.pread(self._statm, STATM_BYTES, 0).split()[1]) * PAGE
        except (OSError, IndexError):  # it has ended
            return 0

    def kill(self) -> None:
        """End the whole group at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def bury(self) -> int:
        """Clear away what is left of one that has ended; returns its exit code."""
        self.kill()  # those it started
        code = self._process.wait()
        for descriptor in (self.output, self.report, self.exit, self._statm):
            os.close(descriptor)
        self._cell.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        return code


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one session."""

    processes: int
    resident: int
    """Bytes of memory; pages that they share count for each."""


def groups() -> dict[int, Group]:
    """Every session of the machine, by its first process."""
    found: dict[int, Group] = {}
    for process in _processes():
        session = int(process[3])
        so_far = found.get(session, Group(0, 0))
        resident = so_far.resident + int(process[21]) * PAGE
        found[session] = Group(so_far.processes + 1, resident)
    return found


def end_strays(known: set[int]) -> None:
    """End children that we never started: they left a worker's group, and lost their parent."""
    for _ in range(10):  # each may have had children, which are ours now
        strays = [pid for pid, parent in _parents() if parent == os.getpid() and pid not in known]
        for pid in strays:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
        if not strays:
            return


def _parents() -> list[tuple[int, int]]:
    return [(int(process[-1]), int(process[1])) for process in _processes()]


def _processes() -> list[list[str]]:
    """Fields of each /proc/PID/stat behind the command, and the pid as the last."""
    found = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are all we want, quickly
        if name.isdigit():
            with contextlib.suppress(OSError):
                # A process may call itself whatever it likes.
                text = Path("/proc", name, "stat").read_text(encoding="latin-1")
                found.append([*text.rpartition(")")[2].split(), name])
    return found


def _environment(folder: Path, threads: int) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    libraries = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "VECLIB")
    own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME"), str(folder))
    return (
        passed
        | own
        | NO_TELEMETRY
        | {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    )
