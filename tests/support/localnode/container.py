"""One container as a process: started, probed, restarted, ended."""

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.processes import Child
from localnode.commands import ConfigError, Place, command_of, environment_of
from localnode.probes import Probe

Object = dict[str, Any]

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
LONGEST_MESSAGE = 4096
"""What a kubelet keeps of a termination message."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 10.0
"""Seconds before a restart. A kubelet waits ten times as long, for which no test has the time."""


def timestamp() -> str:
    """Give the time as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Container:
    """One container of a pod, in one of the three states that its status may say."""

    def __init__(self, pod: Object, spec: Object, home: Path, waits_for: str) -> None:
        self.spec = spec
        self.state: Object = {"waiting": {"reason": waits_for}}
        self.last_state: Object = {}
        self.restarts = 0
        self._pod = pod
        self._home = home
        self._child: Child | None = None
        self._probes: dict[str, Probe] = {}
        self._pause = 0.0
        self._not_before = 0.0

    @property
    def log(self) -> Path:
        """What it wrote to its standard output and error."""
        return self._home / f"{self.spec['name']}.log"

    @property
    def running(self) -> bool:
        """Whether its process runs, as far as was seen."""
        return "running" in self.state

    @property
    def ended(self) -> int | None:
        """Its exit code, once it has ended."""
        done = self.state.get("terminated")
        return None if done is None else int(done["exitCode"])

    @property
    def started(self) -> bool:
        """Whether it runs and its startup probe, if there is one, succeeded."""
        return self.running and self._says("startupProbe")

    @property
    def ready(self) -> bool:
        """Whether it started and its readiness probe, if there is one, says yes."""
        return self.started and self._says("readinessProbe")

    def status(self) -> Object:
        """What a kubelet reports."""
        return {
            "name": self.spec["name"],
            "image": self.spec["image"],
            "imageID": "" if "waiting" in self.state else f"local/{self.spec['image']}",
            "state": self.state,
            "lastState": self.last_state,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
        }

    def wait_for(self, reason: str, message: str) -> None:
        """Say why it does not run."""
        self.state = {"waiting": {"reason": reason, "message": message}}

    def start(self, place: Place) -> None:
        """Start it, unless it ended so lately that it must wait."""
        if time.monotonic() < self._not_before:
            return
        if "terminated" in self.state:
            self.last_state, self.restarts = self.state, self.restarts + 1
        path = self.spec.get("terminationMessagePath", "/dev/termination-log")
        place = replace(place, mounts={**place.mounts, path: str(self._message)})
        try:
            environment = environment_of(self._pod, self.spec, place)
            command = command_of(self.spec, environment, place)
        except ConfigError as error:
            self.wait_for("CreateContainerConfigError", str(error))
            return
        self._message.write_bytes(b"")
        self._child = Child(command, self.log, environment, self._home)
        self.state = {"running": {"startedAt": timestamp()}}
        now = time.monotonic()
        self._probes = {
            name: Probe(self.spec[name], self.spec, place.address, now)
            for name in PROBES
            if name in self.spec
        }

    def look(self) -> None:
        """See whether it ended, and probe it."""
        if self._child is None or not self.running:
            return
        if not self._child.running:
            self._note_end(self._child)
            return
        for name in ("startupProbe",) if not self.started else ("readinessProbe", "livenessProbe"):
            probe = self._probes.get(name)
            if probe:
                probe.look()
                if probe.failed and name != "readinessProbe":
                    with self.log.open("a") as log:
                        log.write(f"{name} failed: {probe.last_failure}\n")
                    self.end(signal.SIGKILL)

    def end(self, number: signal.Signals) -> None:
        """Send the signal that shall end it: to its first process, SIGKILL to all of them."""
        if self._child is None or not self._child.running:
            return
        if number == signal.SIGKILL:
            self._child.signal(number)
            return
        with suppress(ProcessLookupError):
            os.kill(self._child.process.pid, number)

    def close(self) -> None:
        """End it without leaving anything behind."""
        if self._child is not None:
            self._child.kill()

    def hold(self, number: signal.Signals) -> None:
        """Send a signal to all its processes: SIGSTOP makes it silent, SIGCONT lets it go on."""
        if self._child is not None:
            self._child.signal(number)

    @property
    def preparing_to_end(self) -> float:
        """Seconds that it wants to go on before SIGTERM."""
        action = self.spec.get("lifecycle", {}).get("preStop", {})
        return float(action.get("sleep", {}).get("seconds", 0)) if self.running else 0.0

    @property
    def _message(self) -> Path:
        return self._home / f"{self.spec['name']}.termination"

    def _says(self, name: str) -> bool:
        return name not in self.spec or (name in self._probes and self._probes[name].succeeded)

    def _note_end(self, child: Child) -> None:
        code = child.kill()
        code = 128 - code if code < 0 else code
        self.state = {
            "terminated": {
                "exitCode": code,
                "reason": "Completed" if code == 0 else "Error",
                "message": self._last_message(code),
                "startedAt": self.state["running"]["startedAt"],
                "finishedAt": timestamp(),
            }
        }
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
        self._not_before = time.monotonic() + self._pause

    def _last_message(self, code: int) -> str:
        said = self._message.read_bytes()[:LONGEST_MESSAGE]
        on_error = self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        if not said and code and on_error:
            said = self.log.read_bytes()[-2048:]
        return said.decode(errors="replace")
