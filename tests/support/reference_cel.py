"""cel-go, the reference implementation of CEL: built once from the module that `tools/cel` pins."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "tools" / "cel"
CACHE = ROOT / ".cache" / "cel"

Row = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Said:
    """What an implementation says of an expression."""

    refused: bool
    verdicts: tuple[str, ...]
    """Of each row: `true`, `false`, or `failed`."""


def reference_cel() -> Path:
    """Give the program; without Go the test is skipped, and fails under CI."""
    go = shutil.which("go")
    if go is None:
        if os.environ.get("CI"):
            pytest.fail("go is not installed: cel-go cannot be built")
        pytest.skip("go is not installed: cel-go cannot be built")
    CACHE.mkdir(parents=True, exist_ok=True)
    program = CACHE / "cel"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Go itself knows what is up to date, from its cache.
        subprocess.run(
            [go, "build", "-trimpath", "-o", program, "."],
            cwd=MODULE,
            env=os.environ | {"CGO_ENABLED": "0"},
            check=True,
        )
    return program


def asked(program: Path, expressions: Sequence[str], rows: Sequence[Sequence[Row]]) -> list[Said]:
    """What the reference says of each expression, over rows of its own."""
    questions = [
        json.dumps({"expression": text, "rows": mine}, allow_nan=False)
        for text, mine in zip(expressions, rows, strict=True)
    ]
    done = subprocess.run(
        [program], input="\n".join(questions), capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    return [Said(bool(one.get("refused")), tuple(one["verdicts"] or ())) for one in answers]
