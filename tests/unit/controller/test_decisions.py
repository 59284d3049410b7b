"""What is decided beside the status: how many pods, why they would be replaced, what to try."""

from dataclasses import replace
from typing import Any

import pytest

from makers import Document, make_document, make_resolved
from sights import NOW, SETTINGS, as_stored, decided, objects_of, rolled_out, serving
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_operator.decide import cause_of
from tiltyard_operator.desired.metadata import APPLIED, sealed
from tiltyard_operator.desired.resolving import (
    ATTEMPT,
    KEY,
    LAST_FAILURE,
    Place,
    Trial,
    resolve_job,
    resolve_key,
)
from tiltyard_operator.desired.workload import (
    CAUSE,
    OWN_SPEC,
    TEMPLATE,
    Cause,
    as_it_was,
)
from tiltyard_operator.kinds import Object
from tiltyard_operator.observed import Observed, observe_workload
from tiltyard_operator.ownership import Whose, whose

FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
SCALED: Document = {"spec.deployment": {"autoscaling": {"min": 3, "max": 9}}}
OURS = {"manager": "tiltyard-operator", "fieldsV1": {"f:spec": {"f:replicas": {}}}}
THEIRS = {"manager": "kube-controller-manager", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def deployment_of(document: Document, **read: Any) -> Object:
    return objects_of(*decided(document, facts=FACTS, **read))[-1]


def live(pods: int, *managers: Object) -> Object:
    one = rolled_out(deployment_of(make_document()), pods)
    one["spec"]["replicas"] = pods
    one["metadata"]["managedFields"] = list(managers)
    return one


@pytest.mark.parametrize(
    ("changes", "deployment", "replicas"),
    [
        ({"spec.deployment": {}}, None, 1),
        ({"spec.deployment.replicas": 0}, None, 0),
        ({"spec.deployment.replicas": 5}, live(2, OURS), 5),
        ({"spec.suspend": True}, live(2, OURS), 0),
        (SCALED, None, 3),
        (SCALED, live(6, OURS), 6),
        (SCALED, live(6, THEIRS), None),
        (SCALED, live(0, OURS), 3),
        (SCALED | {"spec.suspend": True}, live(6, THEIRS), 0),
    ],
    ids=[
        "nothing said",
        "none",
        "fixed",
        "suspended",
        "autoscaler on a new Pipeline",
        "autoscaler takes over from a fixed number",
        "autoscaler has taken over",
        "autoscaler after a suspension",
        "suspended with autoscaler",
    ],
)
def test_how_many_pods_are_asked_for(
    changes: Document, deployment: Object | None, replicas: int | None
) -> None:
    found = deployment_of(make_document(changes), deployment=deployment)
    assert found["spec"].get("replicas") == replicas


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, None),
        ({"spec.steps[0].split.variants[0].weight": 9}, None),
        ({"spec.deployment.replicas": 7}, None),
        ({"spec.suspend": True}, None),
        ({"spec.deployment.cpus": 2}, Cause.SPEC),
        ({"spec.deployment.pod": {"nodeSelector": {"pool": "x"}}}, Cause.SPEC),
        ({"spec.models[0].source.secretName": "s3"}, Cause.SPEC),
        ({"spec.models[0].threads": 4}, Cause.SPEC),
        ({"spec.steps[0].split.hashKey.salt": "x"}, Cause.SPEC),
        ({"spec.experiment": {"metrics": [{"name": "paid", "kind": "binary"}]}}, Cause.SPEC),
        ({"spec.records": {"sink": {"uri": "stdout:"}}}, Cause.SPEC),
        ({"spec.validations": []}, None),
        ({"spec.validations": [{"name": "dear", "expression": "out.euro[0] > 9"}]}, Cause.SPEC),
    ],
)
def test_what_replaces_pods_and_for_whose_sake(changes: Document, cause: Cause | None) -> None:
    before = observe_workload(rolled_out(deployment_of(make_document()), 2))
    assert cause_of(deployment_of(make_document(changes)), before) is cause


def test_another_engine_is_a_shared_cause() -> None:
    before = rolled_out(deployment_of(make_document()), 2)
    other = replace(SETTINGS, engine_image="tiltyard/engine:2")
    seen, decision = decided(make_document(), facts=FACTS)
    wanted = objects_of(seen, decision, settings=other)[-1]
    assert cause_of(wanted, observe_workload(before)) is Cause.SHARED
    held = as_it_was(wanted, before)
    assert held["spec"]["template"] == before["spec"]["template"]
    assert held["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert set(held["metadata"]["annotations"]) == {CAUSE, OWN_SPEC, TEMPLATE, APPLIED}


SHARING: Document = {"spec.models[2]": {"name": "c", "modelRef": {"name": "shared"}}}


def shared_model(uri: str) -> Object:
    """Give a Model that was found and tried."""
    ready = {"type": "Ready", "status": "True", "reason": "Resolved", "message": ""}
    told = ready | {"lastTransitionTime": "2027-01-15T08:00:00Z", "observedGeneration": 1}
    return {
        "apiVersion": "tiltyard.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": "shared", "namespace": "default", "uid": "m", "generation": 1},
        "spec": {"framework": "onnx", "source": {"uri": uri}},
        "status": FACTS["c"].model_dump(mode="json") | {"conditions": [told]},
    }


def test_a_model_that_others_share_is_a_shared_cause() -> None:
    def wanted(uri: str) -> Object:
        return deployment_of(make_document(SHARING), models={"shared": shared_model(uri)})

    before = observe_workload(rolled_out(wanted("https://models.example/1.onnx"), 2))
    assert cause_of(wanted("https://models.example/2.onnx"), before) is Cause.SHARED


def test_what_ran_is_built_again_from_its_version_while_the_spec_is_broken() -> None:
    there = serving(make_document(), FACTS)
    broken = make_document({"spec.steps[1].model": "none", "spec.deployment.cpus": 4})
    again = objects_of(*decided(broken, **there))[-1]
    assert again == objects_of(*decided(make_document(), facts=FACTS))[-1]


@pytest.mark.parametrize("left_out", [(), ("configs",)], ids=["with its plan", "without"])
def test_what_uses_a_model_that_was_deleted_is_built_again_as_it_was(
    left_out: tuple[str, ...],
) -> None:
    document = make_document(SHARING)
    models = {"shared": shared_model("https://models.example/1.onnx")}
    found = serving(document, FACTS, models=models)
    there = {field: read for field, read in found.items() if field not in left_out}
    before = objects_of(*decided(document, models=models, **there))
    seen, decision = decided(document, **there)
    assert decision.stalled
    assert decision.stalled.reason is ConditionReason.MODEL_NOT_FOUND
    assert objects_of(seen, decision) == before
    fewer = {"spec.deployment.replicas": 1, "spec.steps[0].split.variants[0].weight": 9}
    seen, decision = decided(make_document(SHARING | fewer), **there)
    assert decision.replicas == 1
    assert decision.tables[0].revision == 2
    assert objects_of(seen, decision)[-1]["spec"]["template"] == before[-1]["spec"]["template"]


def test_a_model_that_cannot_be_had_keeps_the_old_pods_and_takes_the_new_number() -> None:
    there = serving(make_document(), FACTS)
    changes = {
        "spec.models[0].source.uri": "https://models.example/new.onnx",
        "spec.deployment.replicas": 9,
        "spec.deployment.cpus": 8,
    }
    failed = {"a": (ConditionReason.SOURCE_NOT_FOUND, "404")}
    seen, decision = decided(make_document(changes), facts=failed, **there)
    found = objects_of(seen, decision)[-1]
    before = objects_of(*decided(make_document(), facts=FACTS))[-1]
    assert found["spec"]["replicas"] == 9
    assert found["spec"]["template"] == before["spec"]["template"]


def test_each_unknown_model_is_tried_once_for_what_it_is() -> None:
    same = {"spec.models[1]": {"name": "b", "framework": "onnx", "source": {"uri": "file:a.onnx"}}}
    _, decision = decided(make_document(same))
    trials = [one.trial for one in decision.findings.values() if one.trial]
    assert len(trials) == 3
    assert len({resolve_key(one.entry) for one in trials}) == 2


def test_a_failed_trial_is_told_and_tried_again_later_each_time() -> None:
    failed = {"a": (ConditionReason.SOURCE_NOT_FOUND, "there is no a.onnx")}
    seen, decision = decided(make_document(), facts=failed)
    one = decision.findings["a"]
    assert (one.trial, one.final, one.due) == (None, True, NOW + 10)
    (attempt,) = seen.trials[resolve_key(seen_entries(seen)[0])]
    assert [replace(attempt, number=number).due for number in (0, 1, 2, 9)] == [
        NOW + seconds for seconds in (10, 20, 40, 600)
    ]


def test_a_secret_that_is_missing_is_looked_for_every_minute_at_least() -> None:
    failed = {"a": (ConditionReason.SECRET_NOT_FOUND, "the Secret 'mine' is not there")}
    seen, decision = decided(make_document(), facts=failed)
    assert decision.stalled
    assert decision.stalled.reason is ConditionReason.SECRET_NOT_FOUND
    (attempt,) = seen.trials[resolve_key(seen_entries(seen)[0])]
    assert [replace(attempt, number=number).due for number in (0, 1, 2, 3, 9)] == [
        NOW + seconds for seconds in (10, 20, 40, 60, 60)
    ]


def seen_entries(seen: Observed) -> list[ModelEntry]:
    return [one.entry for one in read_pipeline(seen.document).spec.models if one.entry]


def test_a_second_trial_remembers_what_the_first_one_said() -> None:
    seen, _ = decided(make_document())
    entry = seen_entries(seen)[0]
    job = resolve_job(
        seen.owner, Trial(entry, 1, "SourceNotFound: it is gone"), Place(1, "1Gi", {}), SETTINGS
    )
    assert job["metadata"]["annotations"] == {
        KEY: resolve_key(entry),
        ATTEMPT: "1",
        LAST_FAILURE: "SourceNotFound: it is gone",
    }
    job["metadata"]["uid"] = "running"
    stored = as_stored(make_document())
    again, decision = decided(make_document(), stored=stored, running=[job])
    assert again.trials
    found = decision.findings["a"]
    assert found.trial is None
    assert found.verdict
    assert (found.verdict.reason, found.verdict.message) == ("SourceNotFound", "it is gone")
    assert decision.stalled


@pytest.mark.parametrize(
    ("references", "annotated", "expected"),
    [
        ([{"uid": "me", "controller": True}], False, Whose.OURS),
        ([], True, Whose.OURS),
        ([], False, Whose.FOREIGN),
        (
            [{"uid": "before", "controller": True, "kind": "Pipeline", "name": "p"}],
            True,
            Whose.PREDECESSOR,
        ),
        (
            [{"uid": "x", "controller": True, "kind": "Pipeline", "name": "q"}],
            True,
            Whose.FOREIGN,
        ),
        (
            [{"uid": "x", "controller": True, "kind": "Deployment", "name": "p"}],
            True,
            Whose.FOREIGN,
        ),
    ],
)
def test_whose_an_object_of_our_name_is(
    references: list[Object],
    annotated: bool,  # noqa: FBT001 - a column
    expected: Whose,
) -> None:
    owner = decided(make_document())[0].owner
    owner = replace(owner, name="p", uid="me")
    obj: Object = {"metadata": {"name": "p", "ownerReferences": references}}
    for one in references:
        one.setdefault("kind", "Pipeline")
        one.setdefault("name", "p")
        one["apiVersion"] = "tiltyard.dev/v1alpha1"
    assert whose(sealed(obj) if annotated else obj, owner) is expected
