"""Commands in the documents work, against the example that the document serves.

A `console` block holds commands behind `$ ` and what they print. A `sh` block holds commands alone.
What is served is what the last `tiltyard serve` of the document says. Output is compared without
what differs from run to run; `…` stands for anything.
"""

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from consoles import check_output, commands
from documents import PAGES, ROOT, name_of
from engines import TILTYARD, Served, serving
from tools import need

SERVE = "tiltyard serve "
RUN = (
    "curl ",
    "echo ",
    "python examples/labels/body.py ",
    "tiltyard infer ",
    "tiltyard simulate ",
    "tiltyard validate ",
)
CLUSTER = {"docs/gitops.md", "docs/install.md", "docs/kubernetes.md"}
"""Their commands need a cluster: tests/apiserver/test_page.py runs them."""


@pytest.fixture(scope="module")
def engines() -> Iterator["Engines"]:
    with ExitStack() as stack:
        yield Engines(stack)


class Engines:
    """Engines by the command that serves them, each started when it is first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._served: dict[str, Served] = {}

    def serve(self, command: str) -> Served:
        """Serve what a `tiltyard serve` of a document says, on ports of its own."""
        if command not in self._served:
            words = shlex.split(command.removeprefix(SERVE))
            first, *others = [ROOT / word for word in words if word.endswith(".yaml")]
            flags = [word for word in words if not word.endswith(".yaml")]
            engine = serving(first, *flags, manifests=tuple(others))
            self._served[command] = self._stack.enter_context(engine)
        return self._served[command]


WITH_COMMANDS = [page for page in PAGES if commands(page) and name_of(page) not in CLUSTER]


@pytest.mark.served
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_commands_of_a_page_work(page: Path, engines: Engines) -> None:
    served = None
    for command, output in commands(page):
        if command.startswith(SERVE):
            served = engines.serve(command)
        elif command.startswith(RUN):
            need("curl")
            assert served or "localhost" not in command, f"nothing is served yet: {command}"
            check_output(run(command, served), output)
        else:
            check_known(command)


def run(command: str, served: Served | None) -> str:
    """Run one command as it is written, but for the ports, where `.venv` is activated."""
    if served:
        command = command.replace("localhost:8080", served.url.removeprefix("http://"))
        command = command.replace("localhost:9090", served.management_url.removeprefix("http://"))
        command = re.sub(r"(tiltyard infer \S+)", rf"\1 --url {served.url}", command)
    path = f"{Path(TILTYARD).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],  # a user's shell
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def check_known(command: str) -> None:
    """Check commands that take too long to run here, or change the terminal."""
    words = shlex.split(command, comments=True)
    match words:
        case ["make", target, *_]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case [".", ".venv/bin/activate"]:
            pass
        case ["tiltyard", "status" | "promote" | "abort", *_]:
            pass  # ask a cluster; tests/apiserver/test_canary.py
        case ["tiltyard", "apply" | "history" | "rollback", *_]:
            pass  # likewise; tests/apiserver/test_sdk.py
        case ["tiltyard", "completion", "bash", *_]:
            pass  # writes into the user's home; tests/unit/sdk/test_completion.py
        case ["tiltyard", "logs", *_]:
            pass  # tests/served/test_cli_logs.py
        case ["docker", "build", "-f", dockerfile, *_]:
            assert (ROOT / dockerfile).exists()  # tests/node builds it
        case ["tiltyard", "lock", _]:
            pass  # asks an index of packages; tests/unit/sdk/test_lock.py
        case ["python", "examples/build.py", *names]:
            assert all((ROOT / "examples" / name / "make.py").exists() for name in names)
        case _:
            pytest.fail(f"teach tests/docs/test_commands.py what to do with: {command}")
