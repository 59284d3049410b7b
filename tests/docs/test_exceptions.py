"""Each exception from a linter or from the types has its code, and its reason beside it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("api", "benchmarks", "core", "operator", "runtime-image", "sdk", "tools")
EXCEPTION = re.compile(r"#\s*(noqa|type:\s*ignore|pragma)")
WITH_REASON = re.compile(r"# (noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\]) +(-|#) \S")


@pytest.mark.parametrize("part", PARTS)
def test_every_exception_has_its_reason_on_its_line(part: str) -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sorted((ROOT / part).rglob("*.py"))
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if EXCEPTION.search(line) and not WITH_REASON.search(line)
    ]
    assert not bare
