"""A whole node: containerd, kubelet, kube-proxy in a network namespace, and a control plane."""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cluster.api import Api
from cluster.binaries import Binaries
from cluster.node import cgroups, images, network, programs
from cluster.node.commands import CommandError, run
from cluster.node.place import HOST, LOCK, NAME, SOCKET, STATE
from cluster.node.sweep import end_processes, sweep
from cluster.plane import ControlPlane, NotReadyError, Running, running
from cluster.processes import Child

_READY_SECONDS = 120.0
_FACTS = "node.json"


@dataclass(frozen=True)
class Node:
    """A node that runs: what tests need to know of it."""

    name: str
    host: str
    """Address at which pods reach what listens here."""

    parts: dict[str, int]
    """Process of each program, those of the control plane too."""

    @staticmethod
    def of(plane: ControlPlane) -> "Node":
        """Node that a control plane has."""
        return Node(**json.loads((plane.directory / _FACTS).read_text()))

    def pause(self, part: str) -> None:
        """Let a program answer nobody until it is resumed."""
        os.kill(self.parts[part], signal.SIGSTOP)

    def resume(self, part: str) -> None:
        """Let it go on."""
        os.kill(self.parts[part], signal.SIGCONT)


@contextmanager
def running_node(directory: Path, binaries: Binaries) -> Iterator[Running]:
    """Run a control plane and its node until the block ends; nothing of it is left.

    Raises:
        NotReadyError: a part does not come up; the message has its last words.

    """
    store = images.prepare()
    with _alone():
        sweep()
        children: dict[str, Child] = {}
        try:
            STATE.mkdir(parents=True)
            network.make()
            cgroups.make()
            with running(directory, binaries, str(HOST)) as processes:
                programs.write(processes.plane.ca)
                for name in _start(directory, binaries, children):
                    if name == "containerd":
                        images.load(store)
                api = processes.plane.api()
                with closing(api):
                    _await("the node", children, lambda: _is_ready(api))
                _write_facts(directory, processes.parts, children)
                yield processes
                for child in reversed(list(children.values())):
                    child.stop()
        except CommandError as error:
            raise NotReadyError(str(error)) from error
        finally:
            for child in children.values():
                child.kill()
            sweep()


@contextmanager
def power_cut(plane: ControlPlane, binaries: Binaries) -> Iterator[None]:
    """Kill all that the node of a control plane runs, pods too, and start its programs again.

    They are this process's now, and end with the block.
    """
    end_processes()
    children: dict[str, Child] = {}
    try:
        for _ in _start(plane.directory, binaries, children):
            pass
        _write_facts(plane.directory, Node.of(plane).parts, children)
        yield
    finally:
        for child in reversed(list(children.values())):
            child.stop()


def _start(directory: Path, binaries: Binaries, children: dict[str, Child]) -> Iterator[str]:
    """Start the programs of a node; gives the name of each, of containerd when it answers."""
    kubeconfigs = {part: directory / f"{part}.kubeconfig" for part in ("kubelet", "kube-proxy")}
    for name, command in programs.commands(binaries, kubeconfigs).items():
        whole = [*network.enter(), *command]
        whole[0] = shutil.which(str(whole[0])) or whole[0]
        children[name] = Child(whole, directory / f"{name}.log", directory=directory)
        if name == "containerd":
            _await("containerd", children, _answers)
        yield name


def _await(what: str, children: dict[str, Child], ready: Callable[[], bool]) -> None:
    end = time.monotonic() + _READY_SECONDS
    while not ready():
        for name, child in children.items():
            if not child.running:
                raise NotReadyError(f"{name} ended:\n{child.last_words()}")
        if time.monotonic() > end:
            words = "\n".join(child.last_words(10) for child in children.values())
            raise NotReadyError(f"{what} was not ready in {_READY_SECONDS:.0f} s:\n{words}")
        time.sleep(0.1)


def _answers() -> bool:
    with suppress(CommandError):
        return bool(run("ctr", f"--address={SOCKET}", "--timeout=2s", "version"))
    return False


def _is_ready(api: Api) -> bool:
    node = api.get(f"/api/v1/nodes/{NAME}") or {}
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _write_facts(directory: Path, parts: dict[str, int], children: dict[str, Child]) -> None:
    ours = {name: child.process.pid for name, child in children.items()}
    node = Node(NAME, str(HOST), parts | ours)
    (directory / _FACTS).write_text(json.dumps(vars(node)))


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other node runs on this machine."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
