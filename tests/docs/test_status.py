"""What the documents say of statuses, events and pods is complete and is what the contract says."""

import re
from collections.abc import Iterator
from typing import Any, get_args

import pytest

from documents import ROOT, table
from tiltyard_api.crd import RESOURCES, crd
from tiltyard_api.v1alpha1.conditions import (
    ARTIFACT_FAULTS,
    CANDIDATE_FAULTS,
    CLUSTER_FAULTS,
    REASONS,
    SPEC_FAULTS,
    WARNINGS,
    ConditionReason,
    ConditionType,
    EventReason,
)
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.pod import OUR_LABELS, OUR_VARIABLES
from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_api.v1alpha1.volumes import OUR_PATHS, OUR_VOLUMES

Schema = dict[str, Any]

SPECS: dict[str, Schema] = {
    resource.plural: crd(resource)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for resource in RESOURCES
}
POD: Schema = SPECS["pipelines"]["spec"]["properties"]["deployment"]["properties"]["pod"]
SIZES = {
    name: field.get("maxItems", field.get("maxProperties"))
    for name, field in POD["properties"].items()
}


def names_below(schema: Schema) -> Iterator[str]:
    """Name of every field at any depth."""
    for name, field in schema.get("properties", {}).items():
        yield name
        yield from names_below(field)
    for part in ("items", "additionalProperties"):
        if isinstance(schema.get(part), dict):
            yield from names_below(schema[part])


def test_every_condition_is_documented_in_order() -> None:
    rows = table("docs/conditions.md", "condition", "question")
    assert [row[0] for row in rows] == list(ConditionType)


def test_every_reason_is_documented_with_the_conditions_that_tell_it() -> None:
    rows = table("docs/conditions.md", "reason", "told by", "when")
    assert {reason: set(told.split(", ")) for reason, told, _ in rows} == {
        reason.value: {kind.value for kind, reasons in REASONS.items() if reason in reasons}
        for reason in ConditionReason
    }
    assert all(when for *_, when in rows)


def test_every_event_is_documented_with_its_type() -> None:
    rows = table("docs/conditions.md", "event", "type", "when")
    assert {reason: kind for reason, kind, _ in rows} == {
        reason.value: "Warning" if reason in WARNINGS else "Normal" for reason in EventReason
    }


def test_every_reason_can_be_told_and_faults_are_of_one_kind() -> None:
    assert set().union(*REASONS.values()) == set(ConditionReason)
    faults = [*ARTIFACT_FAULTS, *SPEC_FAULTS, *CLUSTER_FAULTS, *CANDIDATE_FAULTS]
    assert len(faults) == len(set(faults))
    assert set(faults) == REASONS[ConditionType.STALLED]


def test_words_are_camel_case() -> None:
    for word in (*ConditionType, *ConditionReason, *EventReason):
        assert re.fullmatch("([A-Z][a-z]+)+|NotAModel", word)


def test_every_phase_is_documented() -> None:
    phases = get_args(get_args(PipelineStatus.model_fields["phase"].annotation)[0])
    assert [row[0] for row in table("docs/conditions.md", "phase", "when")] == list(phases)


@pytest.mark.parametrize(
    ("page", "plural"), [("docs/conditions.md", "pipelines"), ("docs/model.md", "models")]
)
def test_every_field_of_a_status_is_documented(page: str, plural: str) -> None:
    rows = {row[0]: row[1] for row in table(page, "field of status", "meaning")}
    status = SPECS[plural]["status"]
    assert list(rows) == list(status["properties"])
    for name, field in status["properties"].items():
        if name != "conditions":
            assert [one for one in names_below(field) if one not in rows[name]] == []


def test_what_may_be_added_to_a_pod_is_documented() -> None:
    rows = {name: (most, takes) for name, most, takes in table(*POD_TABLE)}
    assert list(rows) == list(POD["properties"])
    for name, (most, takes) in rows.items():
        assert [one for one in names_below(POD["properties"][name]) if one not in takes] == []
        if SIZES[name]:
            assert most == str(SIZES[name])


POD_TABLE = ("docs/manifest.md", "field of pod", "at most", "takes")


def test_what_is_the_engines_own_is_documented() -> None:
    page = (ROOT / "docs/manifest.md").read_text()
    folders = re.search(r"Folders of the engine are (.*)\. Mount", page)
    assert folders
    assert tuple(re.findall("`([^`]+)`", folders[1])) == OUR_PATHS
    for word in (*OUR_LABELS, *OUR_VARIABLES, OUR_VOLUMES):
        assert f"`{word}`" in page


def test_a_status_is_read_whatever_it_holds_besides() -> None:
    assert ModelStatus.model_validate({"usedBy": ["a"], "moon": 1}).used_by == ("a",)
