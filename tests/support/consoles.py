"""Commands of documents, and what they say that is printed."""

import json
import re
from pathlib import Path
from typing import Any

from documents import blocks

CHANGING = {"time", "elapsed", "partition", "inference_id", "requests", "rows", "seconds"}
"""Parts of answers and of /status that differ from run to run."""

CLOSE = 1e-3
"""How close numbers come on other processors."""


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


def as_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def alike(said: Any, got: Any) -> bool:
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
