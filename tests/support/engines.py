"""Starts `tiltyard serve` for a test, on free ports, and sees to its end."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

TILTYARD = str(Path(sys.executable).with_name("tiltyard"))
EXAMPLES = Path(__file__).parents[2] / "examples"

_READY = re.compile(r"serving (.+) at (\S+), management at (\S+); try: (.+)")
_END_SECONDS = 45.0


@dataclass
class Served:
    """A `tiltyard serve` that is ready."""

    url: str
    """Data port, such as `http://127.0.0.1:41234`."""

    management_url: str
    process: "subprocess.Popen[str]"
    """The command line; the engine is its child."""

    ready_line: str
    try_command: str
    """The command that the ready line proposes."""

    notices: list[str] = field(default_factory=list)
    """Lines of standard error so far, the engine's log among them."""

    @property
    def news(self) -> list[str]:
        """Notices but for where gRPC is, and for the one that a busy machine brings about."""
        usual = ("still loading", "gRPC at ")
        return [line for line in self.notices if not line.startswith(usual)]

    def infer(self, records: object, pipeline: str | None = None, **headers: str) -> list[Any]:
        """Send records and read the rows of the answer; a refusal raises `HTTPError`."""
        path = f"/pipelines/{pipeline}" if pipeline else "/infer"
        body = json.dumps(records).encode()
        typed = {"Content-Type": "application/json", **headers}
        with urlopen(Request(self.url + path, body, typed), timeout=20) as answer:
            return list(json.load(answer))

    def get(self, path: str) -> str:
        """Ask the management port."""
        with urlopen(self.management_url + path, timeout=20) as answer:
            return str(answer.read().decode())

    def status(self) -> dict[str, Any]:
        """What `/status` of the management port says."""
        return dict(json.loads(self.get("/status")))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; returns the exit code."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)
        return self.process.wait(_END_SECONDS)


def grpc_notice(served: Served) -> str:
    """Address of the gRPC port, once it is told; empty before."""
    start = "gRPC at "
    return next((n.removeprefix(start).strip() for n in served.notices if n.startswith(start)), "")


@contextmanager
def serving(
    manifest: Path, *flags: str, cache: Path | None = None, manifests: tuple[Path, ...] = ()
) -> Iterator[Served]:
    """Serve a manifest until the block ends.

    Args:
        manifest: the file to serve.
        flags: options of `tiltyard serve`. Ports are chosen, and the end comes quickly, unless
            they are named here. Without `--watch` nothing is lost by that.
        cache: the model store; by default the user's.
        manifests: more files.

    """
    command = [TILTYARD, "serve", str(manifest), *map(str, manifests), *flags]
    defaults = {"--port": "0", "--management-port": "0", "--grpc-port": "0", "--records": "off"}
    if "--watch" not in flags:
        defaults["--drain-delay"] = "100ms"
    for option, value in defaults.items():
        if option not in flags:
            command += [option, value]
    environment = os.environ | ({"TILTYARD_CACHE": str(cache)} if cache else {})
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    notices: list[str] = []
    reader = threading.Thread(target=_collect, args=(process, notices), daemon=True)
    reader.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = _READY.match(line)
        if not found:
            process.kill()
            reader.join(_END_SECONDS)
            raise AssertionError(f"tiltyard serve did not start: {line}{''.join(notices)}")
        _, url, management_url, command_to_try = found.groups()
        yield Served(url, management_url, process, line, command_to_try, notices)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        finally:
            reader.join(_END_SECONDS)
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()


def _collect(process: "subprocess.Popen[str]", lines: list[str]) -> None:
    """Keep what is said on standard error: an unread pipe would stop the engine."""
    assert process.stderr is not None
    for line in process.stderr:
        lines.append(line)  # noqa: PERF402 - each is there as soon as it is said
