"""Python models in real workers, for tests: source in, a model that can be asked out."""

import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_core.signature import declared, plan_model
from tiltyard_engine.columns import Array
from tiltyard_engine.model import ModelError
from tiltyard_engine.python.calls import Artifact, PythonModel
from tiltyard_engine.python.environment import known_interpreter
from tiltyard_engine.python.keeper import keeping
from waiting import await_that

PATIENCE = 30.0
"""Seconds that a test waits for what must come; long, because the machine may be busy."""

DOUBLE = """
def process_data(input_data):
    return {"y": input_data["x"] * 2}
"""


def entry_of(**fields: object) -> ModelEntry:
    """Write an entry: by default one number in, one out."""
    return ModelEntry.model_validate(
        {
            "name": "tested",
            "framework": "python",
            "source": {"uri": "file:model.zip"},
            "inputs": [{"name": "x", "type": "float32"}],
            "outputs": [{"name": "y", "type": "float32"}],
            "memory": "256Mi",
            **fields,
        }
    )


def written(folder: Path, source: str, **files: str) -> Path:
    """Write a model's folder; `files` are more modules, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.py").write_text(textwrap.dedent(source))
    for name, text in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
    return folder


def made(path: Path, **fields: object) -> PythonModel:
    """Make a model that has no workers yet."""
    entry = entry_of(**fields)
    inputs, outputs = declared(entry)
    resolved = ResolvedModel(digest="0" * 64, size=0, inputs=inputs, outputs=outputs)
    python = known_interpreter(path, path.parent)
    return PythonModel(plan_model(entry, resolved), Artifact(path, python))


@contextmanager
def kept(*models: PythonModel) -> Iterator[int]:
    """Keep the workers of models for the length of a block; gives the keeper's number."""
    try:
        with tempfile.TemporaryDirectory() as scratch, keeping(models, Path(scratch)) as keeper:
            yield keeper
    finally:
        for model in models:
            model.close()


@contextmanager
def running(folder: Path, source: str, **fields: object) -> Iterator[PythonModel]:
    """Run a model; its folder is below the one given."""
    model = made(written(folder / "model", source), **fields)
    with kept(model):
        fault = model.wait_loaded(PATIENCE)
        assert fault is None, fault
        yield model


def ask(model: PythonModel, *values: float) -> list[float]:
    """Send numbers as rows of `x`; returns `y`."""
    (output,) = model.run([np.array(values, np.float32)])
    return [float(value) for value in output]


def until_served(model: PythonModel, inputs: Sequence[Array]) -> None:
    """Ask until an answer comes: a worker may have to be started first."""

    def served() -> bool:
        try:
            model.run(inputs)
        except ModelError:
            return False
        return True

    await_that(served)
