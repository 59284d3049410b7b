"""Has a model converted by an interpreter that has its framework."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiltyard.convert.compare import Array
from tiltyard.convert.frameworks import Framework, Tool
from tiltyard.convert.rows import Record
from tiltyard.failure import Failure
from tiltyard.local.resolving import how_it_ended

HOME = Path(__file__).parent
START = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from converters.run import main; main(sys.stdin.read())"
)
"""Our folder comes last: no file of it stands in for a package."""

ANSWER, SAMPLES = "answer.json", "samples.npz"
"""What the program writes."""

SILENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
"""Only the processor is asked, and nothing is said of what else there might be."""


@dataclass(frozen=True, slots=True)
class Converted:
    """What came of a model, and what its original answers."""

    inputs: dict[str, Array]
    outputs: dict[str, Array]
    columns: dict[str, list[str]]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A model to convert."""

    model: Path
    framework: Framework
    tool: Tool
    rows: list[Record] | None


def convert(asked: Asked, to: Path, interpreter: Sequence[str]) -> Converted:
    """Convert into a file.

    Args:
        asked: the model.
        to: file of the graph.
        interpreter: command of a Python that has the framework.

    Raises:
        Failure: it could not be converted; says why.

    """
    with tempfile.TemporaryDirectory(prefix="tiltyard-convert-") as folder:
        request = {
            "program": asked.tool.program,
            "packages": asked.tool.packages,
            "model": str(asked.model.absolute()),
            "to": str(to.absolute()),
            "folder": folder,
            "rows": asked.rows,
        }
        command = [*interpreter, "-c", START, str(HOME)]
        try:
            done = subprocess.run(  # noqa: S603 - our program, by the interpreter that was asked for
                command,
                input=json.dumps(request),
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, **SILENT},
            )
        except OSError as error:
            raise Failure(f"{interpreter[0]} cannot be run: {error.strerror}") from error
        return _converted(Path(folder), done, asked, interpreter[0])


def _converted(
    folder: Path, done: subprocess.CompletedProcess[str], asked: Asked, python: str
) -> Converted:
    try:
        answer: dict[str, Any] = json.loads((folder / ANSWER).read_text())
    except FileNotFoundError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Failure(f"converting {asked.model} {how_it_ended(done.returncode)}: {last}") from None
    if "missing" in answer:
        raise Failure(f"{python} lacks {answer['missing']!r}: install it there")
    if "fault" in answer:
        raise Failure(answer["fault"])
    if "error" in answer:
        what = " ".join(answer["error"].split())[:500]
        raise Failure(
            f"{asked.model} cannot be converted as {asked.framework}: {what}:"
            " simplify the model, or serve it as a Python function"
        )
    with np.load(folder / SAMPLES, allow_pickle=False) as samples:
        inputs = {name: samples[f"in_{n}"] for n, name in enumerate(answer["inputs"])}
        outputs = {name: samples[f"out_{n}"] for n, name in enumerate(answer["outputs"])}
    return Converted(inputs, outputs, answer["columns"], answer["versions"])
