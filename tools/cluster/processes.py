"""Child processes that write to a log and are gone with the process that started them."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_TIED = Path(__file__).resolve().with_name("tied.py")
_END_SECONDS = 3.0


class Child:
    """A program in the background, in a process group of its own."""

    def __init__(
        self,
        command: Sequence[str | Path],
        log: Path,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.log = log
        shim = [sys.executable, "-I", "-S", str(_TIED), str(os.getpid())]
        with log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own command line
                [*shim, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=None if environment is None else dict(environment),
                cwd=directory,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the program and to what it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self, seconds: float = _END_SECONDS) -> int:
        """End the program: asked first, killed after so many seconds; gives its exit code."""
        if self.running:
            with suppress(ProcessLookupError):
                self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        return self.kill()

    def kill(self) -> int:
        """End the program and what it started at once; gives its exit code."""
        self.signal(signal.SIGKILL)
        return self.process.wait()

    def last_words(self, lines: int = 20) -> str:
        """Give the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
