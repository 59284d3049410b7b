"""The notebooks of the examples run from their first cell to their last; their cells assert."""

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from engines import EXAMPLES

NOTEBOOKS = EXAMPLES / "notebooks"
CELL_SECONDS = 600

pytestmark = [pytest.mark.served, pytest.mark.timeout(1800)]


EVERY = pytest.mark.parametrize("file", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda one: one.stem)


@pytest.mark.full  # and by `make notebooks`
@EVERY
def test_a_notebook_runs_from_end_to_end(file: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    NotebookClient(notebook, timeout=CELL_SECONDS, resources=resources).execute()
    nbformat.write(notebook, tmp_path / file.name)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert any("assert " in cell.source for cell in cells)


@EVERY
def test_a_notebook_is_kept_without_what_a_run_leaves(file: Path) -> None:
    notebook = json.loads(file.read_bytes())
    for cell in notebook["cells"]:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    assert file.stat().st_size < 20_000
