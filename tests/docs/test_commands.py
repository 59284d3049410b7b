"""Commands in the documents work, against the example that the document serves.

A `console` block holds commands behind `$ ` and what they print. A `sh` block holds commands alone.
What is served is what the last `tiltyard serve` of the document says. Output is compared without
what differs from run to run; `…` stands for anything.
"""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from documents import PAGES, ROOT, blocks, name_of
from engines import TILTYARD, Served, serving
from tools import need

SERVE = "tiltyard serve "
RUN = ("curl ", "tiltyard infer ", "tiltyard validate ", "echo ")
CHANGING = {"time", "elapsed", "partition", "inference_id", "requests", "rows"}
"""Parts of answers and of /status that differ from run to run."""

CLOSE = 1e-3
"""How close numbers come on other processors."""


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


def commands(page: Path) -> list[tuple[str, str | None]]:
    """Commands of a document and what they print; None where the document does not say."""
    found: list[tuple[str, str | None]] = []
    for block in blocks(page):
        if block.language == "sh":
            found += [(line, None) for line in block.text.splitlines() if line]
        elif block.language == "console":
            for part in block.text.removeprefix("$ ").split("\n$ "):
                command, _, output = part.partition("\n")
                found.append((command, output))
    return found


WITH_COMMANDS = [page for page in PAGES if commands(page)]


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


def check_output(got: str, said: str | None) -> None:
    """Compare what was printed with what the document says."""
    parsed = as_json(got)
    if said is None:
        assert not (isinstance(parsed, dict) and parsed.get("status") == "error"), got
    elif parsed is not None:
        assert alike(as_json(said), parsed), got
    else:
        pattern = re.escape(" ".join(said.split())).replace("…", ".*")
        assert re.fullmatch(pattern, " ".join(got.split())), got


def as_json(text: str) -> Any:  # noqa: ANN401 - whatever it says
    try:
        return json.loads(text)
    except ValueError:
        return None


def alike(said: Any, got: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether two answers have the same shape and, where it does not change, the same content."""
    if isinstance(said, dict) and isinstance(got, dict):
        return said.keys() == got.keys() and all(
            type(said[key]) is type(got[key]) if key in CHANGING else alike(said[key], got[key])
            for key in said
        )
    if isinstance(said, list) and isinstance(got, list):
        return len(said) == len(got) and all(map(alike, said, got))
    if isinstance(said, float) and isinstance(got, float):
        return abs(said - got) <= CLOSE * abs(said)
    return type(said) is type(got) and said == got


def check_known(command: str) -> None:
    """Check commands that take too long to run here, or change the terminal."""
    words = shlex.split(command)
    match words:
        case ["make", target]:
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
        case [".", ".venv/bin/activate"]:
            pass
        case ["tiltyard", "lock", _]:
            pass  # asks an index of packages; tests/unit/sdk/test_lock.py
        case ["python", "examples/build.py", *names]:
            assert all((ROOT / "examples" / name / "make.py").exists() for name in names)
        case _:
            pytest.fail(f"teach tests/docs/test_commands.py what to do with: {command}")
