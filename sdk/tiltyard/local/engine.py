"""One engine: a child process that serves on sockets of ours and never outlives us."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.local.compiled import Compiled
from tiltyard.local.kept import replace
from tiltyard.local.resolving import how_it_ended
from tiltyard.local.signals import pause
from tiltyard.local.sockets import Sockets
from tiltyard.notices import notice
from tiltyard_api.base import canonical
from tiltyard_api.routing import RoutingTable

PATIENCE = 3.0
"""Seconds of loading before the user is told what takes so long."""


class Engine:
    """An engine and the files that it reads.

    Args:
        folder: a new folder for this engine alone: two engines never share counters.
        compiled: the Pipelines, with the routing table that each begins with.
        sockets: where it serves.
        store: where the models are.
        secrets: folder with a folder for each Secret.
        limits: limits of the data port, by the names of their flags.

    """

    def __init__(
        self,
        folder: Path,
        compiled: Sequence[tuple[Compiled, RoutingTable]],
        sockets: Sockets,
        store: Path,
        secrets: Path,
        limits: Mapping[str, str],
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._workers = len(sockets.data)
        self._models = sorted({model.name for one, _ in compiled for model in one.plan.models})
        arguments = []
        for one, table in compiled:
            plan = folder / f"{one.plan.pipeline}-plan.json"
            plan.write_bytes(canonical(one.plan))
            arguments += [f"--plan={plan}", f"--routing={self._write(table, one.plan.pipeline)}"]
            if one.id_secret:
                arguments += [f"--id-keys={one.plan.pipeline}={secrets / one.id_secret}"]
        arguments += [f"--{name}={value}" for name, value in limits.items()]
        sums = store.parent / "sums"  # they outlive this engine, and the next goes on with them
        arguments += [f"--artifacts={store}", f"--state={folder}", f"--sums={sums}"]
        arguments += [f"--secrets={secrets}"]
        self._ready, theirs = os.pipe()
        try:
            self._process = _start(arguments, sockets, theirs)
        except OSError:
            os.close(self._ready)
            raise
        finally:
            os.close(theirs)

    def wait_ready(self) -> None:
        """Wait until every worker serves.

        Raises:
            Failure: the engine ended instead; it has said why.
            Stopped: told to end meanwhile.

        """
        late = time.monotonic() + PATIENCE
        missing = self._workers
        while missing:
            if select.select([self._ready], [], [], 0.02)[0]:
                arrived = len(os.read(self._ready, missing))
                missing -= arrived
                if not arrived:
                    code = self._process.wait()
                    raise Failure(f"the engine {how_it_ended(code)} before it was ready")
            elif time.monotonic() > late:
                notice(f"still loading {', '.join(self._models)}")
                late = float("inf")
            pause(0)
        os.close(self._ready)
        self._ready = -1

    def route(self, tables: Mapping[str, RoutingTable]) -> None:
        """Hand over new routing tables, by Pipeline."""
        for pipeline, table in tables.items():
            self._write(table, pipeline)
        self._process.send_signal(signal.SIGHUP)

    def check(self) -> None:
        """See to it that the engine lives.

        Raises:
            Failure: it does not.

        """
        code = self._process.poll()
        if code is not None:
            raise Failure(f"the engine {how_it_ended(code)} and nothing is served: start again")

    def give_way(self) -> None:
        """End, once every request that was accepted is answered; others serve the sockets."""
        self._process.send_signal(signal.SIGUSR1)

    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Finish what was accepted and end; the engine itself bounds how long that takes."""
        self._process.terminate()
        self._process.wait()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1

    def _write(self, table: RoutingTable, pipeline: str) -> Path:
        return replace(self._folder / f"{pipeline}-routing.json", canonical(table))


def _start(arguments: Sequence[str], sockets: Sockets, ready: int) -> subprocess.Popen[bytes]:
    """Start an engine that inherits sockets and pipe, and our held signals."""
    data = [one.fileno() for one in sockets.data]
    grpc = [one.fileno() for one in sockets.grpc]
    management = sockets.management.fileno()
    command = [
        *(sys.executable, "-P", "-m", "tiltyard_engine"),
        *arguments,
        *(f"--data-fd={number}" for number in data),
        *(f"--grpc-fd={number}" for number in grpc),
        f"--management-fd={management}",
        f"--ready-fd={ready}",
        f"--parent={os.getpid()}",
    ]
    inherited = (*data, *grpc, management, ready)
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=inherited)  # noqa: S603 - our own program
