"""Notebooks of the examples, run as a reader runs them: a kernel, and cell after cell."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from engines import EXAMPLES

NOTEBOOKS = EXAMPLES / "notebooks"

CELL_SECONDS = 900
"""A cell may wait for pods, on a machine with much else to do."""


def run_notebook(file: Path, to: Path, **environment: str) -> None:
    """Run every cell; whatever a cell asserts holds, or this raises what it said.

    Args:
        file: the notebook.
        to: folder for the notebook with all that it showed.
        environment: variables that its kernel has beside ours.

    """
    notebook = nbformat.read(file, as_version=4)  # type: ignore[no-untyped-call]
    resources = {"metadata": {"path": str(NOTEBOOKS)}}
    client = NotebookClient(notebook, timeout=CELL_SECONDS, resources=resources)
    try:
        client.execute(env=os.environ | environment)
    finally:
        nbformat.write(notebook, to / file.name)  # type: ignore[no-untyped-call]
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert any("assert " in cell.source for cell in cells)
