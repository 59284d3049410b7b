"""The programs in the pages about protocols work as they stand, but for the address."""

import subprocess
import sys
from pathlib import Path

import pytest

from documents import ROOT, blocks
from engines import EXAMPLES, grpc_notice, serving
from waiting import eventually

PAGES = [ROOT / f"docs/{name}.md" for name in ("v2", "grpc", "arrow", "sagemaker")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_program_of_a_page_gets_an_answer(page: Path) -> None:
    (program,) = [block.text for block in blocks(page) if block.language == "python"]
    with serving(EXAMPLES / "bike-demand" / "pipeline.yaml", "--grpc-port", "0") as served:
        grpc = eventually(lambda: grpc_notice(served))
        text = program.replace("localhost:8080", served.url.removeprefix("http://"))
        text = text.replace("localhost:8081", grpc)
        done = subprocess.run(
            [sys.executable, "-c", text], capture_output=True, text=True, timeout=60, check=False
        )
    assert done.returncode == 0, done.stderr
    assert any(character.isdigit() for character in done.stdout)
