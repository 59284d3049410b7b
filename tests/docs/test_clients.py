"""The programs in the pages about protocols work as they stand, but for the address."""

import subprocess
import sys
from pathlib import Path

import pytest

from documents import ROOT, blocks
from engines import EXAMPLES, serving

PAGES = [ROOT / "docs/v2.md", ROOT / "docs/sagemaker.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_program_of_a_page_gets_an_answer(page: Path) -> None:
    (program,) = [block.text for block in blocks(page) if block.language == "python"]
    with serving(EXAMPLES / "bike-demand" / "pipeline.yaml") as served:
        address = served.url.removeprefix("http://")
        text = program.replace("localhost:8080", address)
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert any(character.isdigit() for character in done.stdout)
