"""Programs that are run to their end."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path


class CommandError(Exception):
    """A program failed; the message has its last words."""


def run(
    *command: str | Path, insist: bool = True, environment: Mapping[str, str] | None = None
) -> str:
    """Run a program and give what it printed.

    Args:
        command: program and arguments.
        insist: whether a failure is one.
        environment: variables that are added.

    Raises:
        CommandError: it failed.

    """
    words = [shutil.which(command[0]) or command[0], *command[1:]]
    done = subprocess.run(  # noqa: S603 - our own command lines
        words,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | (environment or {}),
    )
    if done.returncode and insist:
        said = "\n".join((done.stderr or done.stdout).splitlines()[-20:])
        raise CommandError(f"{' '.join(map(str, command))} failed:\n{said}")
    return done.stdout
