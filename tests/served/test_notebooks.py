"""The notebooks of the examples run from their first cell to their last; their cells assert."""

import json
from pathlib import Path

import pytest

from notebooks import NOTEBOOKS, run_notebook

pytestmark = [pytest.mark.served, pytest.mark.timeout(1800)]


EVERY = pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda one: one.stem)


@pytest.mark.full  # and by `make notebooks`
@EVERY
def test_a_notebook_runs_from_end_to_end(file: Path, tmp_path: Path) -> None:
    run_notebook(file, tmp_path)


@EVERY
def test_a_notebook_is_kept_without_what_a_run_leaves(file: Path) -> None:
    notebook = json.loads(file.read_bytes())
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert file.stat().st_size < 20_000
