"""Loads plans, routing tables and models, once, before workers are forked."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tiltyard_api.base import Contract
from tiltyard_api.plan import Plan, PlanModel, PlanRecords
from tiltyard_api.routing import RoutingTable
from tiltyard_api.v1alpha1.models import Framework
from tiltyard_core.recorded import default_records
from tiltyard_core.tables import misfit
from tiltyard_engine.artifacts import content_of
from tiltyard_engine.log import log
from tiltyard_engine.model import Model, ModelError
from tiltyard_engine.onnxfile import NotOnnx, WeightsElsewhere, checked_graph
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.python.calls import Artifact, PythonModel
from tiltyard_engine.python.environment import FOLDER, RequirementsError, known_interpreter
from tiltyard_engine.sessions import Session
from tiltyard_engine.settings import Settings
from tiltyard_engine.tables import RoutingRefused, read_table, write_table
from tiltyard_engine.validations.judge import NotRunnableError, check

AnyContract = TypeVar("AnyContract", bound=Contract)


class LoadError(Exception):
    """Something that an engine cannot start without."""


def load(settings: Settings) -> list[Loaded]:
    """Load every Pipeline of the command line and warm its models up.

    Models that several Pipelines share are loaded once.

    Raises:
        LoadError: one sentence that names the file or the model.

    """
    models: dict[str, Model] = {}
    loaded = []
    for plan_file, routing_file in zip(settings.plans, settings.routing, strict=True):
        plan = _read(plan_file, Plan)
        try:
            check(plan)
        except NotRunnableError as error:
            raise LoadError(f"Pipeline {plan.pipeline!r}: {error}") from error
        table = (
            newest_table(plan, routing_file, settings.remembered)
            if settings.watch
            else _table(plan, routing_file)
        )
        for model in plan.models:
            if model.version not in models:
                models[model.version] = _load(model, settings.artifacts)
        mine = {model.name: models[model.version] for model in plan.models}
        loaded.append(Loaded(plan, table, mine, records_of(plan, settings)))
    return loaded


def records_of(plan: Plan, settings: Settings) -> PlanRecords | None:
    """What is written down of a Pipeline: what its plan says, else by whoever started the engine.

    Raises:
        LoadError: what writes tables is not installed.

    """
    records = plan.records
    if records is None and settings.records:
        records = default_records(settings.records.absolute().as_uri())
    if records is None or not records.sample:
        return None
    if find_spec("pyarrow") is None:
        raise LoadError(
            f"{plan.pipeline!r} has records, and what writes them is not installed:"
            " pip install 'tiltyard[arrow]', or take the image that is not slim"
        )
    return records


def newest_table(plan: Plan, mounted: Path, remembered: Path) -> RoutingTable:
    """Choose what to begin with where tables are watched, and remember it.

    The mounted copy may be a minute old, and the one that was remembered older than a pod's last
    restart. A spoilt one is left for the other.

    Raises:
        LoadError: neither can be used; the message is about the mounted one.

    """
    try:
        table = _table(plan, mounted)
    except LoadError as error:
        if not remembered.exists():
            raise
        log("a routing table was refused", why=str(error))
        return _table(plan, remembered)
    if remembered.exists():
        try:
            last = _table(plan, remembered)
        except LoadError as error:
            log("a routing table was refused", why=str(error))
        else:
            if last.pipeline_uid == table.pipeline_uid and last.revision > table.revision:
                return last
    remembered.parent.mkdir(parents=True, exist_ok=True)
    write_table(remembered, table)
    return table


def _table(plan: Plan, path: Path) -> RoutingTable:
    """Read a table that fits a plan."""
    try:
        table = read_table(path)
    except RoutingRefused as refused:
        raise LoadError(f"routing table {path}: {refused}") from refused
    if table.plan != plan.hash:
        raise LoadError(f"routing table {path} is for another plan than that of {plan.pipeline}")
    fault = misfit(plan, table)
    if fault:
        raise LoadError(f"routing table {path} does not fit {plan.pipeline}: {fault}")
    return table


def _read(path: Path, kind: type[AnyContract]) -> AnyContract:
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise LoadError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise LoadError(f"{path} is damaged: {first['loc']}: {first['msg']}") from error


def _load(model: PlanModel, artifacts: Path) -> Model:
    path = artifacts / model.digest
    try:
        _check_digest(path, model.digest)
        loaded = _loaded(model, path)
    except (ModelError, RequirementsError, NotOnnx, WeightsElsewhere, OSError) as error:
        raise LoadError(f"model {model.name!r} cannot be loaded: {error}") from error
    loaded.learn()
    return loaded


def _loaded(model: PlanModel, path: Path) -> Model:
    """Load a graph, or make a Python model ready to have workers, which its keeper starts."""
    folder = content_of(path)
    place = folder if folder.is_dir() else path
    if model.framework is Framework.PYTHON:
        return PythonModel(model, Artifact(place, known_interpreter(place, path.parent / FOLDER)))
    return Session(model, checked_graph(place))


def _check_digest(path: Path, digest: str) -> None:
    """Refuse a file that is not the one the plan means, before anything parses it."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != digest:
        raise ModelError(f"{path} has SHA-256 {found}: it was changed, fetch it anew")
