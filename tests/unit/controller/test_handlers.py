"""What is looked at after what was seen."""

import pytest

from tiltyard_operator.face import Health
from tiltyard_operator.handlers import Handlers
from tiltyard_operator.kinds import AUTOSCALER, DEPLOYMENT, MODEL, PIPELINE, Kind, Object
from tiltyard_operator.queue import Queue, Schedule
from tiltyard_operator.view import Memory


class Added(Queue):
    """A queue of which one can see what came since one last looked."""

    def names(self) -> list[str]:
        """Keys that came."""
        keys = set(self._schedule._entries)
        self._schedule = Schedule()
        return sorted(f"{key.kind.kind}/{key.name}" for key in keys)


@pytest.fixture
def adds() -> Added:
    return Added()


@pytest.fixture
def handlers(adds: Added) -> Handlers:
    return Handlers(adds, Health(), Memory())


def obj(kind: Kind, name: str, version: int = 1, **rest: object) -> Object:
    head = {
        "namespace": "shop",
        "name": name,
        "uid": f"{kind.kind}-{name}",
        "resourceVersion": str(version),
        "managedFields": [version],
        "labels": {"app.kubernetes.io/instance": name},
    }
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": head, **rest}


def using(*models: str) -> Object:
    return {"models": [{"name": name, "modelRef": {"name": name}} for name in models]}


def test_a_write_of_a_pipelines_status_is_not_looked_at(handlers: Handlers, adds: Added) -> None:
    handlers.pipeline("ADDED", obj(PIPELINE, "p", 1, spec={}))
    assert adds.names() == ["Pipeline/p"]
    handlers.pipeline("MODIFIED", obj(PIPELINE, "p", 2, spec={}, status={"phase": "Running"}))
    assert adds.names() == []
    handlers.pipeline("MODIFIED", obj(PIPELINE, "p", 3, spec={"suspend": True}))
    assert adds.names() == ["Pipeline/p"]
    handlers.pipeline("DELETED", obj(PIPELINE, "p", 4, spec={"suspend": True}))
    assert adds.names() == ["Pipeline/p"]


def test_models_that_are_named_or_were_are_looked_at(handlers: Handlers, adds: Added) -> None:
    handlers.pipeline("ADDED", obj(PIPELINE, "p", spec=using("a", "b")))
    assert adds.names() == ["Model/a", "Model/b", "Pipeline/p"]
    handlers.pipeline("MODIFIED", obj(PIPELINE, "p", spec=using("b", "c")))
    assert adds.names() == ["Model/a", "Model/c", "Pipeline/p"]
    handlers.pipeline("DELETED", obj(PIPELINE, "p", spec=using("b", "c")))
    assert adds.names() == ["Model/b", "Model/c", "Pipeline/p"]


def test_a_models_change_reaches_those_who_name_it(handlers: Handlers, adds: Added) -> None:
    handlers.pipeline("ADDED", obj(PIPELINE, "p", spec=using("a")))
    handlers.pipeline("ADDED", obj(PIPELINE, "q", spec=using("b")))
    adds.names()
    handlers.model("MODIFIED", obj(MODEL, "a", status={"digest": "1"}))
    assert adds.names() == ["Model/a", "Pipeline/p"]
    handlers.model("MODIFIED", obj(MODEL, "a", status={"digest": "2"}))
    assert adds.names() == ["Model/a", "Pipeline/p"]


@pytest.mark.parametrize(
    "spec", [None, "x", [], {"models": "x"}, {"models": [1, {"modelRef": 2}, {"modelRef": {}}]}]
)
def test_a_spec_that_got_past_admission_harms_nobody(
    handlers: Handlers, adds: Added, spec: object
) -> None:
    handlers.pipeline("ADDED", obj(PIPELINE, "p", spec=spec))
    assert adds.names() == ["Pipeline/p"]


@pytest.mark.parametrize(
    ("kind", "looked_at"), [(DEPLOYMENT, ["Pipeline/p"]), (AUTOSCALER, [])], ids=str
)
def test_only_statuses_that_say_how_far_a_pipeline_is_are_looked_at(
    handlers: Handlers, adds: Added, kind: Kind, looked_at: list[str]
) -> None:
    handle = handlers.owned(kind)
    handle("ADDED", obj(kind, "p", 1, spec={}))
    adds.names()
    handle("MODIFIED", obj(kind, "p", 2, spec={}, status={"replicas": 1}))
    assert adds.names() == looked_at


def test_an_object_that_was_made_anew_or_edited_is_looked_at(
    handlers: Handlers, adds: Added
) -> None:
    handle = handlers.owned(DEPLOYMENT)
    for event, spec in [(None, 1), ("MODIFIED", 2), ("DELETED", 2), ("ADDED", 2)]:
        handle(event, obj(DEPLOYMENT, "p", spec=spec))
        assert adds.names() == ["Pipeline/p"]
    handle(None, obj(DEPLOYMENT, "p", spec=2))
    assert adds.names() == []
    handlers.forget()
    handle(None, obj(DEPLOYMENT, "p", spec=2))
    assert adds.names() == ["Pipeline/p"]


def test_the_leases_own_writes_are_the_pulse(adds: Added) -> None:
    health = Health()
    Handlers(adds, health, Memory()).lease("MODIFIED", {"metadata": {}})
    assert health.seen is not None
    assert adds.names() == []
