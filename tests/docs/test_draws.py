"""The programs in docs/draws.md foretell every published vector."""

import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from documents import ROOT, blocks

PAGE = ROOT / "docs/draws.md"
VECTORS: list[dict[str, Any]] = json.loads((ROOT / "docs/draws-vectors.json").read_text())[
    "vectors"
]


def program(language: str) -> str:
    (text,) = [block.text for block in blocks(PAGE) if block.language == language]
    return text


def test_the_python_program_foretells_the_vectors() -> None:
    names: dict[str, Any] = {}
    exec(compile(program("python"), str(PAGE), "exec"), names)  # noqa: S102 - our own document
    for vector in VECTORS:
        n = names["draw"](vector["salt"], vector["value"])
        assert str(n) == vector["draw"]
        assert names["variant"](n, vector["weights"]) == vector["variant"]


def test_the_javascript_program_foretells_the_vectors(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:  # a convenience of ours, not worth a second language in CI
        pytest.skip("node is not installed")
    vectors = [vector for vector in VECTORS if sendable_by_javascript(vector)]
    script = tmp_path / "draws.mjs"
    calls = "".join(
        f"n = draw({json.dumps(v['salt'])}, {literal(v)});"
        f" console.log(String(n), variant(n, {json.dumps(v['weights'])}));\n"
        for v in vectors
    )
    script.write_text(f"{program('javascript')}\nlet n;\n{calls}")
    done = subprocess.run([node, script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [f"{v['draw']} {v['variant']}" for v in vectors]


def sendable_by_javascript(vector: dict[str, Any]) -> bool:
    """JavaScript writes 0.0 as 0, which is another key."""
    return not (vector["type"] == "float" and vector["value"] == 0)


def literal(vector: dict[str, Any]) -> str:
    value = vector["value"]
    if vector["type"] == "integer" and abs(value) > 2**53:
        return f"{value}n"
    if vector["type"] == "float" and value >= 1 and not math.isinf(value):
        return repr(value)
    return json.dumps(value)
