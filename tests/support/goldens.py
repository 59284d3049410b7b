"""Comparison with files that a person has reviewed."""

from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden"


def check_golden(path: Path, text: str, *, update: bool) -> None:
    """Compare a text with a golden file, or write it there."""
    if update:
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path.name} is not there: run pytest --update-golden and review it"
    assert text == path.read_text(encoding="utf-8")
