"""A Pipeline served for this Python process: starts the program that serves it, and talks to it."""

import json
import os
import select
import subprocess
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiltyard.failure import Failure
from tiltyard.local.resolving import how_it_ended

TICK_SECONDS = 0.2
END_SECONDS = 60.0
"""The engine itself bounds how long it takes to answer what it accepted."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is in force."""

    done: str
    """What was done for it, in one line."""

    url: str
    management: str
    plan: str
    version: str
    digests: dict[str, str]
    """Of each model, by its name."""


class Host:
    """One Pipeline, served by a process of its own.

    Args:
        folder: its working folder.
        log: file of what it says.

    """

    def __init__(self, folder: Path, log: Path) -> None:
        self._log = log
        self._answers, theirs = os.pipe()
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            with log.open("ab") as said:
                self._process = subprocess.Popen(  # noqa: S603 - our own program
                    [sys.executable, "-P", "-m", "tiltyard.local.hosted", str(theirs)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=said,
                    cwd=folder,
                    pass_fds=(theirs,),
                    start_new_session=True,  # a Ctrl-C is for us, who may want to go on
                )
        finally:
            os.close(theirs)
        self._rest = b""
        self._owed = 0
        self._end = weakref.finalize(self, _end, self._process, self._answers)

    def serve(self, manifest: Path, tick: Callable[[], None]) -> Serving:
        """Put a manifest in force.

        Args:
            manifest: the file.
            tick: called while it takes its time.

        Raises:
            Failure: it cannot be served; what ran keeps running.

        """
        assert self._process.stdin  # noqa: S101 - for the types
        try:
            self._process.stdin.write(f"{manifest}\n".encode())
            self._process.stdin.flush()
        except OSError as error:
            raise self._ended() from error
        self._owed += 1  # and one for each call that was interrupted while it waited
        said: dict[str, Any] = {}
        while self._owed:
            said = self._answer(tick)
            self._owed -= 1
        if "failure" in said:
            raise Failure(*said["failure"])
        return Serving(**said)

    def alive(self) -> bool:
        """Whether it serves."""
        return self._process.poll() is None

    def stop(self) -> None:
        """Answer what was accepted, and end."""
        self._end()

    def _answer(self, tick: Callable[[], None]) -> dict[str, Any]:
        while b"\n" not in self._rest:
            if not select.select([self._answers], [], [], TICK_SECONDS)[0]:
                tick()
                continue
            piece = os.read(self._answers, 65536)
            if not piece:
                raise self._ended()
            self._rest += piece
        line, self._rest = self._rest.split(b"\n", 1)
        return dict(json.loads(line))

    def _ended(self) -> Failure:
        code = self._process.wait(END_SECONDS)
        return Failure(f"what serves it {how_it_ended(code)}: see {self._log}, then deploy() again")


def _end(process: "subprocess.Popen[bytes]", answers: int) -> None:
    """End a process in order, and leave nothing of it behind."""
    assert process.stdin  # noqa: S101 - for the types
    with suppress(OSError):  # it has ended already
        process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    os.close(answers)
