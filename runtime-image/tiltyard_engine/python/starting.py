"""What a supervisor asks of Python models: which there are, and whether they came up."""

from collections.abc import Iterator, Sequence

from tiltyard_api.plan import PlanShadow
from tiltyard_engine.challengers import LOWEST_PRIORITY
from tiltyard_engine.dataplane import answering
from tiltyard_engine.load import LoadError
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.keeper import LOAD_SECONDS


def python_models(loaded: Sequence[Loaded]) -> list[PythonModel]:
    """Every Python model of an engine, once each; those nobody waits for step back."""
    found = dict.fromkeys(model for one in loaded for model in one.sessions.values())
    models = [model for model in found if isinstance(model, PythonModel)]
    waited = {one.sessions[name] for one in loaded for name in _waited_for(one)}
    for model in models:
        model.nice = 0 if model in waited else LOWEST_PRIORITY
    return models


def _waited_for(one: Loaded) -> Iterator[str]:
    """Models of a Pipeline whose answers somebody waits for: not challengers that are logged."""
    for step in one.plan.steps:
        yield from answering(step)
        if isinstance(step, PlanShadow) and step.respond:
            yield from step.challengers


def wait_loaded(loaded: Sequence[Loaded]) -> None:
    """Wait until a worker of every model came up, or failed to.

    Raises:
        LoadError: one failed that callers wait for. A challenger is tried again, and hurts nobody.

    """
    for one in loaded:
        needed = {name for step in one.plan.steps for name in answering(step)}
        for name, model in one.sessions.items():
            fault = model.wait_loaded(LOAD_SECONDS) if isinstance(model, PythonModel) else None
            if fault and name in needed:
                raise LoadError(f"model {name!r} cannot be loaded: its worker {fault}")
