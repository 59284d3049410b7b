"""Install each peer into an environment of its own, locked and hash-checked."""

import hashlib
import subprocess
import sys
from pathlib import Path

LOCKS = Path(__file__).parents[1] / "requirements"


def locked_version(name: str, lock: str | None = None) -> str:
    """Read from a peer's lock, named as the peer unless told, which version of it is measured."""
    lines = (LOCKS / f"{lock or name}.txt").read_text().splitlines()
    pins = (line.split()[0].partition("==") for line in lines if "==" in line)
    return next(version for package, _, version in pins if package == name)


def environment(name: str, folder: Path) -> Path:
    """Return the `bin` of a peer's environment, making it on first use or when its lock changed."""
    lock = LOCKS / f"{name}.txt"
    home = folder / f"venv-{name}"
    stamp = home / "lock.sha256"
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {name} into {home.name}, once", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        python = home / "bin" / "python"
        subprocess.run([python, *install, "--require-hashes", "-r", lock], check=True)
        stamp.write_text(digest)
    return home / "bin"
