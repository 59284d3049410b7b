"""The programs of a control plane: from a directory, from the cache, or built from pinned modules.

The versions stand in `etcd/go.mod` and `kubernetes/go.mod` and nowhere else.
"""

import fcntl
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "cluster"
DIRECTORY = "TILTYARD_CLUSTER_BIN"
"""Environment variable that names a directory with all the programs."""

_OLDEST_GO = (1, 21)
"""From here on Go fetches the toolchain that a go.mod asks for."""

_BUILT_IN = "built-in"
"""File beside built programs that says how many seconds their build took."""


class MissingError(Exception):
    """Programs are not there; the message says which, and what to do."""


@dataclass(frozen=True)
class Module:
    """A Go module of ours whose dependencies are the programs."""

    name: str
    source: str
    """Go module that gives the version."""

    programs: dict[str, str]
    """Packages by the name of their program."""

    stamped: bool = False
    """Whether the programs know their version only when the linker is told."""

    folder: str = ""
    """Where its go.mod is, if not in the folder of its name."""

    @property
    def version(self) -> str:
        """Version that go.mod pins."""
        return _pinned(self.home / "go.mod", self.source)

    @property
    def home(self) -> Path:
        """Folder of its go.mod."""
        return HERE / (self.folder or self.name)

    @property
    def cached(self) -> Path:
        """Folder of what was built."""
        return CACHE / f"{self.name}-{self.version}"


ETCD = Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "go.etcd.io/etcd/server/v3"})
KUBERNETES = Module(
    "kubernetes",
    "k8s.io/kubernetes",
    {
        name: f"k8s.io/kubernetes/cmd/{name}"
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
    },
    stamped=True,
)
HELM = Module("helm", "helm.sh/helm/v4", {"helm": "helm.sh/helm/v4/cmd/helm"})
KSTATUS = Module("kstatus", "sigs.k8s.io/cli-utils", {"kstatus": "."})
NODE = Module(
    "node",
    "k8s.io/kubernetes",
    {name: f"k8s.io/kubernetes/cmd/{name}" for name in ("kubelet", "kube-proxy")},
    stamped=True,
    folder="kubernetes",
)
MODULES = (ETCD, KUBERNETES, HELM, KSTATUS)
WITH_NODE = (*MODULES, NODE)
"""What only Linux and root can use is built where it is wanted."""


@dataclass(frozen=True)
class Binaries:
    """Where each program is."""

    paths: dict[str, Path]
    version: str
    """Version of Kubernetes."""

    origin: str
    """Where they come from and how long that took, for people."""

    def __getitem__(self, program: str) -> Path:
        """Path of a program."""
        return self.paths[program]


@cache
def _pinned(go_mod: Path, module: str) -> str:
    found = re.search(rf"^\s*{re.escape(module)} (v\S+)", go_mod.read_text(), re.MULTILINE)
    if not found:
        raise MissingError(f"{go_mod} does not require {module}")
    return found[1]


def find(modules: Sequence[Module] = MODULES) -> Binaries:
    """Give the programs that are there, without building any."""
    given = os.environ.get(DIRECTORY)
    if given:
        return _given(Path(given).resolve(), modules)
    missing = [module for module in modules if not module.cached.is_dir()]
    if missing:
        names = ", ".join(program for module in missing for program in module.programs)
        raise MissingError(
            f"{names} are not built yet: run `make cluster-programs`, which takes minutes once, "
            f"or name a directory that has them in {DIRECTORY}"
        )
    paths = {name: module.cached / name for module in modules for name in module.programs}
    seconds = sum(float((module.cached / _BUILT_IN).read_text()) for module in modules)
    return Binaries(paths, KUBERNETES.version, f"built in {seconds:.0f} s, kept in {CACHE}")


def _given(directory: Path, modules: Sequence[Module]) -> Binaries:
    paths = {name: directory / name for module in modules for name in module.programs}
    missing = [name for name, path in paths.items() if not os.access(path, os.X_OK)]
    if missing:
        raise MissingError(f"{directory} (from {DIRECTORY}) lacks {', '.join(missing)}")
    said = subprocess.run(  # noqa: S603 - a program that the user named
        [directory / "kube-apiserver", "--version"], capture_output=True, text=True, check=True
    )
    return Binaries(paths, said.stdout.split()[-1], f"from {directory}")


def provide(tell: Callable[[str], None], modules: Sequence[Module] = MODULES) -> Binaries:
    """Give the programs, and build those that are missing."""
    if not os.environ.get(DIRECTORY):
        for module in modules:
            with _alone(module):
                if not module.cached.is_dir():
                    _build(module, tell)
    return find(modules)


@contextmanager
def _alone(module: Module) -> Iterator[None]:
    """Let one process at a time build a module."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{module.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(module: Module, tell: Callable[[str], None]) -> None:
    """Build the programs of a module; they appear all at once or not at all."""
    go = _go()
    unfinished = module.cached.with_name(module.cached.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    tell(f"building {', '.join(module.programs)} {module.version}; this takes minutes, once")
    started = time.monotonic()
    for program, package in module.programs.items():
        command = [go, "build", "-trimpath", "-ldflags", _linker_flags(module)]
        done = subprocess.run(  # noqa: S603 - Go, with arguments of ours
            [*command, "-o", unfinished / program, package],
            cwd=module.home,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=False,
        )
        if done.returncode:
            raise MissingError(f"go could not build {program}; what it said stands above")
    seconds = time.monotonic() - started
    (unfinished / _BUILT_IN).write_text(f"{seconds:.1f}\n")
    unfinished.rename(module.cached)
    tell(f"built {', '.join(module.programs)} {module.version} in {seconds:.0f} s")


def _linker_flags(module: Module) -> str:
    flags = "-s -w"
    if module.stamped:
        major, minor, _ = module.version.removeprefix("v").split(".", 2)
        told = {"gitVersion": module.version, "gitMajor": major, "gitMinor": minor}
        for name, value in told.items():
            flags += f" -X k8s.io/component-base/version.{name}={value}"
    return flags


def _go() -> str:
    """Give the path of a Go that can build what go.mod asks for."""
    wanted = f"Go {'.'.join(map(str, _OLDEST_GO))} or newer (https://go.dev/dl)"
    instead = f"or name a directory with the programs in {DIRECTORY}"
    go = shutil.which("go")
    if go is None:
        raise MissingError(f"go is not installed: install {wanted}, {instead}")
    said = subprocess.run(  # noqa: S603 - Go, with arguments of ours
        [go, "version"], capture_output=True, text=True, check=True
    )
    found = re.search(r"\bgo(\d+)\.(\d+)", said.stdout)
    if not found or (int(found[1]), int(found[2])) < _OLDEST_GO:
        raise MissingError(f"{said.stdout.strip()} is too old: install {wanted}, {instead}")
    return go
