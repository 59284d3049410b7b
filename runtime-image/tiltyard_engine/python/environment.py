"""The environment of a Python model: packages that it requires, installed apart from ours.

Cached by what is required, under a lock: several processes that want one build it once. Where only
locked requirements may be installed, what a trial ran is what every pod runs.
"""

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

REQUIREMENTS = "requirements.txt"
WHEELS = "wheels"
"""Folder of an artifact that may bring the wheels of everything that it requires."""

COMPLETE = ".complete"
"""Stands in an environment that was built to its end."""

FOLDER = "environments"
"""Of the store."""


class Installs(StrEnum):
    """What may be installed."""

    ANY = "any"
    """Whatever is required: on the user's own machine."""

    LOCKED = "locked"
    """Only what is pinned by its hash, or comes with the artifact."""


class RequirementsError(Exception):
    """Requirements that cannot be installed."""


class NotLockedError(RequirementsError):
    """Requirements that are not pinned, where only pinned ones may be installed."""


def known_interpreter(artifact: Path, environments: Path) -> Path:
    """The interpreter to run an artifact with; its environment was built when it was fetched.

    Raises:
        RequirementsError: there is no such environment.

    """
    required = _requirements(artifact)
    if required is None:
        return Path(sys.executable)
    home = environments / _key(artifact, required)
    if not (home / COMPLETE).exists():
        raise RequirementsError("the environment of its requirements is missing: fetch it anew")
    return home / "bin" / "python"


def interpreter(artifact: Path, environments: Path, installs: Installs, seconds: float) -> Path:
    """The interpreter to run an artifact with; builds its environment where there is none yet.

    Args:
        artifact: the unpacked folder, or a single file, which requires nothing.
        environments: folder of all environments.
        installs: what may be installed.
        seconds: most time that this may take.

    Raises:
        NotLockedError: what is required is not pinned, and must be.
        RequirementsError: it cannot be installed.

    """
    required = _requirements(artifact)
    if required is None:
        return Path(sys.executable)
    wheels = _wheels(artifact)
    if installs is Installs.LOCKED and not wheels:
        line = unlocked(required)
        if line:
            remedy = "run `tiltyard lock` on the artifact, or put wheels into it"
            raise NotLockedError(f"{REQUIREMENTS} does not pin {line!r} by hashes: {remedy}")
    home = environments / _key(artifact, required)
    environments.mkdir(parents=True, exist_ok=True)
    with _locked(home.with_suffix(".lock")):
        if not (home / COMPLETE).exists():
            shutil.rmtree(home, ignore_errors=True)  # of one that was interrupted
            _build(home, _options(artifact, locked=installs is Installs.LOCKED), seconds)
            (home / COMPLETE).touch()
    return home / "bin" / "python"


def unlocked(requirements: str) -> str | None:
    """The first requirement without a hash; None where all have one."""
    for line in requirements.replace("\\\n", " ").splitlines():
        wanted = line.partition(" #")[0].strip()
        if wanted and not wanted.startswith("#") and "--hash=" not in wanted:
            return wanted[:100]
    return None


def _requirements(artifact: Path) -> str | None:
    """What an artifact requires; None where it requires nothing."""
    try:
        text = (artifact / REQUIREMENTS).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except UnicodeDecodeError as error:
        raise RequirementsError(f"{REQUIREMENTS} is no text: {error}") from error
    lines = [line.strip() for line in text.splitlines()]
    return text if any(line and not line.startswith("#") for line in lines) else None


def _wheels(artifact: Path) -> list[Path]:
    return sorted((artifact / WHEELS).glob("*.whl"))


def _key(artifact: Path, required: str) -> str:
    """Name of an environment: made of all that decides what is in it."""
    digest = hashlib.sha256(required.encode())
    for wheel in _wheels(artifact):
        with wheel.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    digest.update(f"{sys.version} {platform.machine()}".encode())
    return digest.hexdigest()[:32]


def _options(artifact: Path, *, locked: bool) -> list[str]:
    """Give the arguments of `pip install`."""
    required = ["--requirement", str(artifact / REQUIREMENTS)]
    if _wheels(artifact):
        where = [
            "--no-index",
            "--find-links",
            str(artifact / WHEELS),
            "--only-binary",
            ":all:",
        ]
        return [*where, *required]
    if locked:
        return ["--require-hashes", "--only-binary", ":all:", *required]
    if "--hash=" in (artifact / REQUIREMENTS).read_text():
        return required
    return [*required, "numpy"]  # which carries the arrays, whoever else wants it


def _build(home: Path, options: list[str], seconds: float) -> None:
    python = home / "bin" / "python"
    pip = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    steps = (
        [sys.executable, "-I", "-m", "venv", "--without-pip", str(home)],
        [*pip, "--python", str(python), "install", "--quiet", *options],
        [str(python), "-I", "-c", "import numpy"],
    )
    for step in steps:
        try:
            done = subprocess.run(  # noqa: S603 - pip, on files that were unpacked safely
                step, check=False, capture_output=True, text=True, timeout=seconds
            )
        except subprocess.TimeoutExpired as error:
            raise RequirementsError(f"installing took longer than {seconds:g} s") from error
        if done.returncode:
            raise RequirementsError(_complaint(done.stderr or done.stdout))


def _complaint(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if any("No module named 'numpy'" in line for line in lines):
        return "its requirements lack numpy, which carries the arrays: add it"
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    return f"its requirements cannot be installed: {(errors or lines or ['no word of why'])[0]}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
