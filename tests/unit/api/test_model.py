"""A model as an object of its own: described as in a Pipeline, and what becomes of it."""

import pytest

from makers import SHARED, make_document, make_model, make_resolved
from tiltyard_api.base import canonical
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.models import CONFIGURED, ListedModel, ModelEntry, ModelSpec

REFERENCE = {"name": "a", "modelRef": {"name": "shared"}}


def test_a_description_has_the_same_fields_wherever_it_stands() -> None:
    described = set(ModelSpec.model_fields)
    assert set(ModelEntry.model_fields) == described | {"name"}
    assert set(ListedModel.model_fields) == described | {"name", "model_ref"}
    assert set(CONFIGURED) == described - {"framework", "source"}


def test_a_model_is_read_like_an_entry() -> None:
    entry = dict(make_document(of=SHARED)["spec"], name="a")
    (listed, *_) = read_pipeline(make_document({"spec.models[0]": entry})).spec.models
    assert listed.entry == ModelEntry(name="a", **dict(make_model().spec))


def test_a_reference_has_no_entry_yet() -> None:
    (listed, *_) = read_pipeline(make_document({"spec.models[0]": REFERENCE})).spec.models
    assert listed.entry is None
    assert listed.model_ref
    assert listed.model_ref.name == "shared"


def test_a_reference_may_carry_the_defaults_that_an_api_server_writes() -> None:
    defaults = {field: value for field, value in CONFIGURED.items() if value is not None}
    assert set(defaults) == {"batch", "threads", "timeout"}
    plain = read_pipeline(make_document({"spec.models[0]": REFERENCE}))
    assert read_pipeline(make_document({"spec.models[0]": REFERENCE | defaults})) == plain


def test_status_and_foreign_metadata_of_a_model_are_never_input() -> None:
    changes = {"status": {"digest": 7}, "metadata.labels": {"a": "b"}, "metadata.uid": "u"}
    assert read_model(make_document(changes, of=SHARED)).metadata.uid == "u"


@pytest.mark.parametrize("known", ["", "digest", "digest size", "digest size inputs"])
def test_a_status_gives_no_facts_before_it_has_them_all(known: str) -> None:
    whole = ModelStatus().with_resolved(make_resolved())
    status = ModelStatus(**{name: getattr(whole, name) for name in known.split()})
    assert status.resolved() is None


def test_facts_go_into_a_status_and_come_back() -> None:
    resolved = make_resolved("x float32[?,4], n seq(string)[] -> y int64[?,1]")
    status = ModelStatus(observed_generation=3, used_by=("p",)).with_resolved(resolved)
    again = ModelStatus.model_validate_json(canonical(status))
    assert again.resolved() == resolved
    assert again.short_digest == resolved.digest[:12]
    assert (again.observed_generation, again.used_by) == (3, ("p",))
