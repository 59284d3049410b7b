"""One pod as processes, in a thread of its own."""

import signal
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import urllib3

from cluster.api import Api, ApiError
from localnode.commands import ConfigError, Place
from localnode.container import Container
from localnode.report import Report
from localnode.volumes import Volumes

Object = dict[str, Any]

_TURN_SECONDS = 0.05
_LATER_SECONDS = 0.5
"""Before a volume that could not be made is tried again."""


class Pod:
    """Runs a pod until it is deleted; what it sees goes into the pod's status."""

    def __init__(
        self,
        api: Api,
        pod: Object,
        place: Place,
        home: Path,
        refused_images: Collection[str],
    ) -> None:
        self.object = pod
        self._api = api
        self._place = place
        self._refused_images = refused_images
        home.mkdir(parents=True)
        spec = pod["spec"]
        first = "PodInitializing" if spec.get("initContainers") else "ContainerCreating"
        self.init = [Container(pod, one, home, first) for one in spec.get("initContainers", ())]
        self.main = [Container(pod, one, home, first) for one in spec["containers"]]
        self._report = Report(api, pod, place.address)
        self._volumes = Volumes(api, pod, place.address, home / "volumes")
        self._folders: dict[str, Path] | None = None
        self._furnish_at = 0.0
        self._term_at = self._kill_at = float("inf")
        self._gone = threading.Event()
        self._changed = threading.Event()
        name = f"pod-{pod['metadata']['name']}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def containers(self) -> list[Container]:
        """All its containers, those that initialise it first."""
        return [*self.init, *self.main]

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def see(self, pod: Object) -> None:
        """Take note of what the API server says of it now."""
        self.object = pod
        self._report.heard(pod)
        self._changed.set()

    def kill(self) -> None:
        """End it at once: it is no longer there, or its node goes."""
        self._gone.set()
        self._changed.set()
        self._thread.join()

    def hold(self, number: signal.Signals) -> None:
        """Send a signal to all processes."""
        for container in self.containers:
            container.hold(number)

    def _run(self) -> None:
        try:
            while not self._gone.is_set():
                with suppress(urllib3.exceptions.HTTPError):  # nobody answers: later
                    self._turn()
                self._changed.wait(_TURN_SECONDS)
                self._changed.clear()
        except ApiError as error:
            if error.status not in (404, 409):  # it is gone, or another has its name
                raise
        finally:
            for container in self.containers:
                container.close()

    def _turn(self) -> None:
        for container in self.containers:
            container.look()
        if "deletionTimestamp" in self.object["metadata"]:
            self._end()
        else:
            self._advance()
        if not self._gone.is_set():
            self._report.send(self.object["spec"]["restartPolicy"], self.init, self.main)

    def _advance(self) -> None:
        """Start what may start now."""
        if self._folders is None:
            self._furnish()
            return
        waiting = next((one for one in self.init if one.ended != 0), None)
        for container in [waiting] if waiting else self.main:
            if not container.running and self._may_start(container):
                if container.ended is not None:
                    with suppress(urllib3.exceptions.HTTPError):  # then they stay as they are
                        self._furnish()  # a kubelet keeps volumes as their sources are
                self._start(container, self._folders)

    def _furnish(self) -> None:
        """Make the volumes; what is not there yet may come."""
        if time.monotonic() < self._furnish_at:
            return
        try:
            self._folders = self._volumes.make()
        except ConfigError as error:
            self._furnish_at = time.monotonic() + _LATER_SECONDS
            for container in self.containers:
                reason = container.state["waiting"]["reason"]
                container.wait_for(reason, f"MountVolume.SetUp failed: {error}")

    def _may_start(self, container: Container) -> bool:
        policy = self.object["spec"]["restartPolicy"]
        if container.ended is None:
            return True
        if container in self.init:  # a good end was the end of it
            return bool(policy != "Never")
        return bool(policy == "Always" or (policy == "OnFailure" and container.ended))

    def _start(self, container: Container, folders: Mapping[str, Path]) -> None:
        image = container.spec["image"]
        if image in self._refused_images:
            container.wait_for("ImagePullBackOff", f'Back-off pulling image "{image}"')
            return
        mounts = {
            mount["mountPath"].rstrip("/"): str(folders[mount["name"]] / mount.get("subPath", ""))
            for mount in container.spec.get("volumeMounts", ())
        }
        container.start(replace(self._place, mounts=mounts, sources=self._volumes.sources()))

    def _end(self) -> None:
        """Ask the containers to end; when they have, the pod goes."""
        now = time.monotonic()
        if self._kill_at == float("inf"):
            self._kill_at = now + self.object["metadata"]["deletionGracePeriodSeconds"]
            self._term_at = now + max(one.preparing_to_end for one in self.containers)
        if not any(container.running for container in self.containers):
            self._go()
        elif now >= self._kill_at:
            self._signal(signal.SIGKILL)
        elif now >= self._term_at:
            self._term_at = float("inf")
            self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for container in self.containers:
            container.end(number)

    def _go(self) -> None:
        self._report.send(self.object["spec"]["restartPolicy"], self.init, self.main)
        self._api.call(
            "DELETE",
            self._report.path,
            {"gracePeriodSeconds": 0, "preconditions": {"uid": self.object["metadata"]["uid"]}},
        )
        self._gone.set()
