"""What others applied of a spec is taken over before ours is, and nothing else is touched."""

from makers import Document
from tiltyard.ownership import taken_over

Fields = Document


def entry(manager: str, operation: str, fields: Fields, **more: str) -> Document:
    return {
        "manager": manager,
        "operation": operation,
        "apiVersion": "tiltyard.dev/v1alpha1",
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        **more,
    }


SPEC: Fields = {"f:steps": {'k:{"name":"a"}': {".": {}, "f:model": {}}}}
STATUS = entry("tiltyard", "Apply", {"f:status": {}}, subresource="status")
SCALE = entry("autoscaler", "Update", {"f:spec": {"f:deployment": {}}}, subresource="scale")
OURS = entry("me", "Apply", {"f:spec": {"f:suspend": {}}})


def test_nothing_is_done_where_the_spec_is_ours() -> None:
    assert taken_over([OURS, STATUS, SCALE], "me") is None
    assert taken_over([], "me") is None


def test_what_others_applied_is_ours_together_and_their_metadata_stay_theirs() -> None:
    theirs = entry("kubectl", "Update", {"f:spec": SPEC, "f:metadata": {"f:labels": {}}})
    found = taken_over([theirs, STATUS, OURS, SCALE], "me")
    assert found
    assert found[:-1] == [theirs | {"fieldsV1": {"f:metadata": {"f:labels": {}}}}, STATUS, SCALE]
    assert (found[-1]["manager"], found[-1]["operation"]) == ("me", "Apply")
    assert found[-1]["fieldsV1"] == {"f:spec": SPEC | {"f:suspend": {}}}


def test_sets_of_fields_are_united_at_every_depth() -> None:
    more: Fields = {"f:steps": {'k:{"name":"b"}': {".": {}}}}
    found = taken_over(
        [entry("x", "Apply", {"f:spec": SPEC}), entry("y", "Update", {"f:spec": more})], "me"
    )
    assert found
    (mine,) = found
    assert set(mine["fieldsV1"]["f:spec"]["f:steps"]) == {'k:{"name":"a"}', 'k:{"name":"b"}'}
