"""The images that the node runs, built from the sources as they lie here; no registry is asked.

What would come from a registry, an image with Python, is made from Debian's packages, once.
"""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.binaries import CACHE
from cluster.node.commands import run
from cluster.node.mounts import unmount_below
from cluster.node.place import SOCKET
from images.build import IMAGES, Builder, build

_FOLDER = CACHE.with_name("node")
_RELEASE = "bookworm"
_BASE = f"localhost/python:3.11-{_RELEASE}"
SANDBOX = "localhost/sandbox:1"
_BUILT = ("engine", "operator")

_CTR = ("ctr", f"--address={SOCKET}", "--namespace=k8s.io")

_TRUST = ("/etc/ssl/certs", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates")
"""Certificates of this machine: pip in a build trusts whom it trusts here."""


def name_of(image: str) -> str:
    """Name of an image in the node."""
    return f"localhost/tiltyard-{image}:test"


@dataclass(frozen=True)
class Store:
    """Where built images are kept, apart from any other of this machine."""

    driver: str

    def command(self, *words: str) -> list[str]:
        """Start of a command on it."""
        where = [f"--root={_FOLDER / 'store'}", f"--runroot={_FOLDER / 'run'}"]
        return ["buildah", *where, f"--storage-driver={self.driver}", *words]

    def has(self, name: str) -> bool:
        """Whether there is an image of that name."""
        return bool(run(*self.command("images", "--quiet", name), insist=False).strip())

    def make(self, name: str, *settings: str, folder: Path | None = None, base: str) -> None:
        """Make an image without a Dockerfile."""
        container = run(*self.command("from", base)).strip()
        if folder:
            run(*self.command("add", "--quiet", container, str(folder), "/"))
        run(*self.command("config", *settings, container))
        run(*self.command("commit", "--quiet", "--rm", container, name))

    def load(self, name: str) -> None:
        """Give an image to the node."""
        with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
            archive = Path(folder) / "image.tar"
            to = f"oci-archive:{archive}:{name}"
            run(*self.command("push", "--quiet", "--disable-compression", name, to))
            run(*_CTR, "images", "import", f"--snapshotter={snapshotter()}", str(archive))


def snapshotter() -> str:
    """Give what containers' roots are made with: layers of mounts where the kernel can."""
    return "overlayfs" if _overlays() else "native"


def opened() -> Store:
    """Give the store as it is."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    return Store("overlay" if _overlays() else "vfs")


def prepare() -> Store:
    """Build what is missing or stale; a minute or two at first, seconds where nothing changed."""
    store = opened()
    with _alone():
        if not store.has(_BASE):
            _make_base(store)
        if not store.has(SANDBOX):
            # what holds the namespaces of a pod; the runtime ends it, it need not listen
            store.make(SANDBOX, '--entrypoint=["sleep", "infinity"]', "--cmd=", base=_BASE)
        trust = [f"--volume={folder}:{folder}:ro" for folder in _TRUST if Path(folder).is_dir()]
        words = store.command("bud", "--layers", "--isolation=chroot", *trust)
        for name in _BUILT:
            build(Builder(tuple(words)), IMAGES[name], name_of(name), {"BASE": _BASE})
    return store


def load(store: Store) -> None:
    """Give the node all that it runs."""
    with _alone():
        for name in (SANDBOX, *map(name_of, _BUILT)):
            store.load(name)


def tag(name: str, other: str) -> None:
    """Give an image of the node another name, too."""
    run(*_CTR, "images", "tag", "--force", name, other)


def added(store: Store, name: str) -> int:
    """Give the bytes that an image of ours adds to its base."""
    with _alone():
        container = run(*store.command("from", name)).strip()
        try:
            root = Path(run(*store.command("mount", container)).strip())
            said = run("du", "--summarize", "--bytes", root / "opt/tiltyard")
        finally:
            run(*store.command("rm", container))
    return int(said.split()[0])


def _make_base(store: Store) -> None:
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        root = Path(folder) / "root"
        packages = "python3,python3-venv,ca-certificates"
        run("debootstrap", "--variant=minbase", f"--include={packages}", _RELEASE, root)
        for waste in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/locale"):
            run("rm", "-rf", root / waste)
        path = "/usr/local/bin:/usr/bin:/bin"
        store.make(_BASE, f"--env=PATH={path}", folder=root, base="scratch")


@contextmanager
def _alone() -> Iterator[None]:
    """Let one process at a time use the store, and leave no mount: the folder can be deleted."""
    with (_FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            unmount_below(_FOLDER)


def _overlays() -> bool:
    """Whether the disk can carry the upper layer of an overlay."""
    with tempfile.TemporaryDirectory(dir=_FOLDER) as folder:
        layers = {name: Path(folder) / name for name in ("lower", "upper", "work", "merged")}
        for layer in layers.values():
            layer.mkdir()
        options = "lowerdir={lower},upperdir={upper},workdir={work}".format(**layers)
        run("mount", "-t", "overlay", "overlay", "-o", options, layers["merged"], insist=False)
        if not layers["merged"].is_mount():
            return False
        run("umount", layers["merged"])
        return True
