"""What a supervisor asks of Python models: which there are, and whether they came up."""

from collections.abc import Sequence

from tiltyard_engine.dataplane import answering
from tiltyard_engine.load import LoadError
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.keeper import LOAD_SECONDS


def python_models(loaded: Sequence[Loaded]) -> list[PythonModel]:
    """Every Python model of an engine, once each."""
    found = [model for one in loaded for model in one.sessions.values()]
    return list(
        dict.fromkeys(model for model in found if isinstance(model, PythonModel))
    )


def wait_loaded(loaded: Sequence[Loaded]) -> None:
    """Wait until a worker of every model came up, or failed to.

    Raises:
        LoadError: one failed that callers wait for. A challenger is tried again, and hurts nobody.

    """
    for one in loaded:
        needed = {name for step in one.plan.steps for name in answering(step)}
        for name, model in one.sessions.items():
            fault = (
                model.wait_loaded(LOAD_SECONDS)
                if isinstance(model, PythonModel)
                else None
            )
            if fault and name in needed:
                raise LoadError(f"model {name!r} cannot be loaded: its worker {fault}")
