"""Tries a Python model before anybody relies on it: loads it, and asks it once."""

import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.models import Batch, ModelEntry
from tiltyard_core.signature import declared, plan_model
from tiltyard_engine.model import ModelError, made_up
from tiltyard_engine.python.calls import Artifact, MisfitError, PythonModel, RaisedError
from tiltyard_engine.python.environment import (
    Installs,
    NotLockedError,
    RequirementsError,
    interpreter,
)
from tiltyard_engine.python.keeper import keeping

FREE_LENGTH = 32
"""Length of made-up inputs where any will do: functions of series want more than one."""


@dataclass(frozen=True, slots=True)
class TrialLimits:
    """What a trial may take."""

    seconds: float
    """For requirements, and again for loading."""

    installs: Installs
    environments: Path
    """Folder that keeps environments."""


@dataclass(frozen=True, slots=True)
class TrialFault:
    """Why a model is not served."""

    reason: ConditionReason
    message: str


def try_python(path: Path, model: ModelEntry, limits: TrialLimits) -> TrialFault | None:
    """Try a model as an engine would run it.

    What the function raises on made-up input is no fault: it may well want other numbers. What it
    returns must be what its entry says.

    Args:
        path: what `artifacts.unpacked` gave: its folder, or its single file.
        model: its entry.
        limits: what this may take.

    Returns:
        None where it can be served.

    """
    try:
        python = interpreter(path, limits.environments, limits.installs, limits.seconds)
        _try(Artifact(path, python), model, limits.seconds)
    except NotLockedError as error:
        return TrialFault(ConditionReason.REQUIREMENTS_NOT_LOCKED, str(error))
    except MisfitError as error:
        return TrialFault(ConditionReason.SIGNATURE_MISMATCH, str(error))
    except (RequirementsError, ModelError) as error:
        return TrialFault(ConditionReason.LOAD_FAILED, str(error))
    return None


def _try(artifact: Artifact, model: ModelEntry, seconds: float) -> None:
    entry = model.model_copy(update={"workers": 1})
    inputs, outputs = declared(entry)
    resolved = ResolvedModel(digest="0" * 64, size=0, inputs=inputs, outputs=outputs)
    one = PythonModel(plan_model(entry, resolved), artifact)
    with (
        closing(one),
        tempfile.TemporaryDirectory() as scratch,
        keeping([one], Path(scratch)),
    ):
        fault = one.wait_loaded(seconds)
        if fault:
            raise ModelError(f"its worker {fault}")
        rows = 1 if entry.batch is Batch.SINGLE else 2
        with suppress(RaisedError):
            one.run(made_up(one.model, rows, FREE_LENGTH))
