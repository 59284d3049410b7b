"""cel-go, the reference implementation of CEL: of the module that `tools/cel` pins."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gobuilt import go_built

Row = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True)
class Said:
    """What an implementation says of an expression."""

    refused: bool
    verdicts: tuple[str, ...]
    """Of each row: `true`, `false`, or `failed`."""


def reference_cel() -> Path:
    """Give the program."""
    return go_built("cel")


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
