"""`tiltyard lock`: pins what a Python model requires, so that a cluster installs nothing else."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tiltyard.failure import Failure
from tiltyard.notices import notice

REQUIREMENTS, WANTED = "requirements.txt", "requirements.in"
"""What is installed, and what it was locked from: so that it can be locked anew."""

OLDEST_PYTHON = "3.11"
"""Oldest Python that an engine runs on: what is locked installs there and on later ones."""

CARRIES_ARRAYS = "numpy"
"""Every worker needs it, whatever the model requires."""


def lock(archive: Path) -> None:
    """Write the versions and hashes of all that a zip requires into it.

    Raises:
        Failure: it is no zip, there is no resolver, or no versions fit each other.

    """
    wanted = _wanted(archive)
    locked = _resolved(wanted)
    fresh = archive.with_name(f".{archive.name}.new")
    try:
        _write(archive, fresh, {WANTED: wanted, REQUIREMENTS: locked})
        fresh.replace(archive)
    finally:
        fresh.unlink(missing_ok=True)
    count = sum("==" in line for line in locked.splitlines())
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    notice(f"{archive}: {count} packages are locked; its SHA-256 is now {digest}")


def _wanted(archive: Path) -> str:
    """What the artifact asks for, as its author wrote it."""
    try:
        with zipfile.ZipFile(archive) as packed:
            names = set(packed.namelist())
            for name in (WANTED, REQUIREMENTS):
                if name in names:
                    return packed.read(name).decode()
    except (OSError, zipfile.BadZipFile, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise Failure(f"{archive} cannot be read as a zip: {why}") from error
    raise Failure(f"{archive} has no {REQUIREMENTS}: there is nothing to lock")


def _resolved(wanted: str) -> str:
    """Have all versions and hashes worked out, for every platform at once."""
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, WANTED), Path(folder, REQUIREMENTS)
        given.write_text(f"{wanted}\n{CARRIES_ARRAYS}\n")
        command = [_uv(), "pip", "compile", "--quiet", "--universal", "--generate-hashes"]
        command += ["--python-version", OLDEST_PYTHON, "--no-annotate", "--no-header"]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        command += ["--output-file", str(found), str(given)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - the resolver, on a file of ours
        if done.returncode:
            why = " ".join(done.stderr.split()) or "it did not say why"
            raise Failure(f"the requirements cannot be locked: {why[:1000]}")
        return found.read_text()


def _uv() -> str:
    """Find the resolver: installed beside us, or anywhere on the path."""
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("uv")
    if found is None:
        raise Failure("uv, which resolves requirements, is missing: pip install 'tiltyard[lock]'")
    return found


def _write(archive: Path, fresh: Path, changed: dict[str, str]) -> None:
    """Copy a zip with some files replaced."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(fresh, "w") as new:
        for member in old.infolist():
            if member.filename not in changed:
                new.writestr(member, old.read(member))
        for name, text in changed.items():
            member = zipfile.ZipInfo(name)  # of the year 1980: the same lock, the same bytes
            member.external_attr = 0o644 << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(member, text)
