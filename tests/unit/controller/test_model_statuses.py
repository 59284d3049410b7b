"""What is said of a Model."""

from typing import Any

import pytest

from makers import make_resolved
from sights import NOW
from tiltyard_api.manifest import read_model
from tiltyard_api.v1alpha1.conditions import REASONS, ConditionReason, ConditionType
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_operator.desired.history import Fact
from tiltyard_operator.desired.resolving import resolve_key
from tiltyard_operator.findings import Finding, Known
from tiltyard_operator.model import Judgement, events, report
from tiltyard_operator.verdicts import Verdict

MODEL: dict[str, Any] = {
    "apiVersion": "tiltyard.dev/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "shared", "namespace": "default", "uid": "m", "generation": 4},
    "spec": {"framework": "onnx", "source": {"uri": "https://models.example/a.onnx"}},
}
ENTRY = ModelEntry(name="model", **dict(read_model(MODEL).spec))
FACT = Fact(key=resolve_key(ENTRY), resolved=make_resolved(), address="https://models.example/v7")
BAD = Verdict(ConditionReason.NOT_A_MODEL, "it is HTML")
RUNNING = Verdict(ConditionReason.RESOLVING, "is fetched and tried")
QUOTA = Verdict(ConditionReason.APPLY_REFUSED, "Job shared-r-1: exceeded quota")


def status_of(judgement: Judgement, users: list[str] | None = None) -> ModelStatus:
    return report(MODEL, ModelStatus(), judgement, users or [], NOW)


@pytest.mark.parametrize(
    ("judgement", "expected"),
    [
        (Judgement(Finding(FACT), entry=ENTRY), {"Ready": "True"}),
        (Judgement(Finding(verdict=RUNNING)), {"Reconciling": "True", "Ready": "Unknown"}),
        (Judgement(Finding(verdict=BAD, final=True)), {"Stalled": "True", "Ready": "False"}),
        (
            Judgement(Finding(verdict=RUNNING), refused=QUOTA),
            {"Stalled": "True", "Ready": "False"},
        ),
    ],
    ids=["found", "tried", "bad", "refused"],
)
def test_a_model_has_its_conditions(judgement: Judgement, expected: dict[str, str]) -> None:
    status = status_of(judgement)
    assert {one.type: one.status for one in status.conditions or ()} == expected
    for one in status.conditions or ():
        assert one.observed_generation == status.observed_generation == 4
        assert one.reason in REASONS[ConditionType(one.type)]


def test_a_model_that_was_found_says_what_it_is_and_who_uses_it() -> None:
    users = [f"p{number:03}" for number in range(120)]
    status = status_of(Judgement(Finding(FACT), entry=ENTRY), users)
    assert status.resolved() == FACT.resolved
    assert status.address == FACT.address
    assert status.short_digest == FACT.resolved.digest[:12]
    assert (len(status.used_by or ()), status.users) == (100, 120)
    assert [one.reason for one in events(ModelStatus(), status)] == ["Resolved"]
    assert list(events(status, status)) == []


def test_what_is_not_known_any_more_is_not_said() -> None:
    before = status_of(Judgement(Finding(FACT), entry=ENTRY))
    status = report(MODEL, before, Judgement(Finding(verdict=RUNNING), entry=ENTRY), [], NOW)
    assert status.digest is None
    assert status.resolved() is None


@pytest.mark.parametrize(("generation", "known"), [(4, True), (5, False)])
def test_a_pipeline_takes_facts_from_a_model_that_is_ready_for_its_spec(
    generation: int,
    known: bool,  # noqa: FBT001 - a column
) -> None:
    status = status_of(Judgement(Finding(FACT), entry=ENTRY))
    told = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = MODEL["metadata"] | {"generation": generation}
    facts = Known.of((), {"shared": MODEL | {"metadata": metadata, "status": told}}).facts
    assert (facts == {FACT.key: FACT}) is known
