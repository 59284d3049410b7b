"""Interpreters that convert: one environment of locked packages a family of frameworks.

Frameworks are huge and contradict each other, so none of them is a dependency of ours. What
converts is installed once, apart from everything, when it is first needed.
"""

import fcntl
import hashlib
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tiltyard.convert.frameworks import Framework, Tool
from tiltyard.failure import Failure
from tiltyard.local.resolving import store_folder
from tiltyard.notices import notice

COMPLETE = ".complete"
"""Stands in an environment that was installed to its end."""

UNREACHABLE = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "Max retries")
"""What pip says where it gets no answer."""


def interpreter(framework: Framework, tool: Tool) -> Path:
    """Give the interpreter of a framework; its environment is made where there is none.

    Raises:
        Failure: it cannot be installed.

    """
    home = environment(tool)
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two commands at once install it once
        if not (home / COMPLETE).exists():
            shutil.rmtree(home, ignore_errors=True)  # of one that was interrupted
            notice(f"installing what converts {framework}, once: {tool.size} in {home}")
            started = time.monotonic()
            _install(home, tool)
            (home / COMPLETE).touch()
            notice(f"installed in {time.monotonic() - started:.0f} s")
    return home / "bin" / "python"


def environment(tool: Tool) -> Path:
    """Folder of a tool's environment, named by all that decides what is in it."""
    decides = f"{tool.requirements.read_text()}{sys.version}{platform.machine()}"
    digest = hashlib.sha256(decides.encode()).hexdigest()[:16]
    return store_folder().with_name("converters") / f"{tool.environment}-{digest}"


def _install(home: Path, tool: Tool) -> None:
    pip = [sys.executable, "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    wanted = ["--require-hashes", "--only-binary", ":all:", "--requirement", str(tool.requirements)]
    steps = (
        [sys.executable, "-I", "-m", "venv", "--without-pip", str(home)],
        [
            *pip,
            "--python",
            str(home / "bin" / "python"),
            "install",
            "--quiet",
            "--retries",
            "2",
            *wanted,
        ],
    )
    for step in steps:
        done = subprocess.run(step, check=False, capture_output=True, text=True)  # noqa: S603 - of the standard library
        if done.returncode:
            raise Failure(_complaint(done.stderr or done.stdout, tool))


def _complaint(output: str, tool: Tool) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    why = (errors or lines or ["pip did not say why"])[0]
    if any(mark in output for mark in UNREACHABLE):
        why = "the package index cannot be reached"
    elif "No module named" in why:
        why = f"{sys.executable} lacks pip or venv: install them, or"
    return (
        f"the packages that convert cannot be installed: {why}:"
        f" give --python with an interpreter that has {', '.join(tool.packages[-2:])}"
        " and the framework"
    ).replace("or:", "or")
