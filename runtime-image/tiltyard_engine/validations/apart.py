"""Asks the process that runs expressions, and gets over its end.

An expression may take seconds and a gigabyte, and the library that runs it may have faults. So a
process that does not answer in time, or ends, is replaced, after a pause that grows; until then
rows are not judged, and nobody waits.
"""

import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from tiltyard_engine.log import log
from tiltyard_engine.trial import PASSED_ON
from tiltyard_engine.validations.evaluator import Rows, receive, send

CHILD = (sys.executable, "-P", "-m", "tiltyard_engine.validations.evaluator")

START_SECONDS = 30.0
"""How long it may take to begin; a worker waits so long before it serves without."""

GRACE_SECONDS = 0.25
"""Beyond the time that it was given: its answer may be on its way."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
"""Seconds until one that failed is replaced."""


class Evaluator:
    """Runs expressions in a process of its own."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self._expressions = list(expressions)
        self._lock = threading.Lock()
        self._pause = FIRST_PAUSE
        self._not_before = 0.0
        self._process: _Process | None = _Process(self._expressions)
        self._heard(self._process, START_SECONDS)

    def judge(self, rows: Rows) -> list[bytes]:
        """What each expression says of each row; of rows for which there is no time, nothing."""
        end = time.monotonic() + rows.seconds
        if not self._lock.acquire(timeout=max(rows.seconds, 0.0)):
            return []
        try:
            process = self._process
            if process is None and time.monotonic() >= self._not_before:
                process = self._process = _Process(self._expressions)
            if process is None or not self._heard(process, end - time.monotonic()):
                return []
            rows.seconds = end - time.monotonic()
            return self._asked(process, rows) if rows.seconds > 0 else []
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._not_before = float("inf")
            self._end()

    def _heard(self, process: "_Process", seconds: float) -> bool:
        """Whether a process may be asked, now or in some seconds."""
        try:
            return process.ready(seconds)
        except (OSError, EOFError) as error:
            self._give_up(error)
            return False

    def _asked(self, process: "_Process", rows: Rows) -> list[bytes]:
        try:
            found = process.ask(rows, rows.seconds + GRACE_SECONDS)
        except (OSError, EOFError) as error:
            self._give_up(error)
            return []
        self._pause = FIRST_PAUSE
        return found

    def _give_up(self, error: Exception) -> None:
        log("validations are not judged", why=repr(error), again_in_seconds=self._pause)
        self._end()
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def _end(self) -> None:
        if self._process:
            self._process.end()
            self._process = None


class _Process:
    """One life of it."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self._ours, theirs = socket.socketpair()
        self._child = subprocess.Popen(  # noqa: S603 - our own program
            (*CHILD, str(theirs.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            pass_fds=(theirs.fileno(),),
            start_new_session=True,
        )
        theirs.close()
        self._patience = time.monotonic() + START_SECONDS
        self._ready = False
        with suppress(OSError):  # it has ended: whoever waits for it will hear
            send(self._ours, expressions)

    def ready(self, seconds: float) -> bool:
        """Wait until it says that it may be asked; it may need longer than who waits.

        Raises:
            TimeoutError: it needs longer than any should.

        """
        if not self._ready:
            heard = select.poll()
            heard.register(self._ours, select.POLLIN)
            self._ready = bool(heard.poll(max(seconds, 0.0) * 1000)) and receive(self._ours) != b""
        if not self._ready and time.monotonic() > self._patience:
            raise TimeoutError
        return self._ready

    def ask(self, rows: Rows, seconds: float) -> list[bytes]:
        """Have rows judged within some seconds."""
        self._ours.settimeout(seconds)
        send(self._ours, rows)
        return msgspec.msgpack.decode(receive(self._ours), type=list[bytes])

    def end(self) -> None:
        """End it at once."""
        self._ours.close()
        self._child.kill()
        self._child.wait()
