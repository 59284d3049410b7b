"""The project's documents, as tests read them: code blocks, tables, links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "examples/*/README.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
"""Every document that users or contributors read."""

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?<!`)\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: Path
    line: int
    language: str
    flags: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Place of the block, as tests are called by it."""
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    """Path of a document within the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks of a document, in order."""
    text = page.read_text(encoding="utf-8")
    for found in _FENCE.finditer(text):
        language, *flags = found["info"].split() or [""]
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, language, tuple(flags), found["text"])


def all_blocks(*languages: str) -> list[Block]:
    """Blocks of every document that are in one of these languages."""
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def prose(page: Path) -> str:
    """Text of a document without its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> list[str]:
    """Where a document's links lead."""
    return _LINK.findall(prose(page))


def anchors(page: Path) -> set[str]:
    """What can stand behind `#` in a link to a document."""
    headings = _HEADING.findall(prose(page))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: str, *columns: str) -> list[tuple[str, ...]]:
    """Rows of the tables of a document whose heading is these columns; code marks are left out."""
    rows: list[tuple[str, ...]] = []
    inside = False
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            inside = False
            continue
        cells = tuple(cell.strip().replace("`", "") for cell in _CELL.split(line)[1:-1])
        if cells == columns:
            inside = True
        elif inside and not set("".join(cells)) <= set("-: "):
            rows.append(cells)
    assert rows, f"{page} has no table with the columns {', '.join(columns)}"
    return rows
