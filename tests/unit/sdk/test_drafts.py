"""Specs that are edited: steps, the models that they name, and everything else that was there."""

from collections.abc import Callable

import pytest

from makers import Document
from tiltyard.deployment import DeploymentConfigBuilder
from tiltyard.drafts import Draft, models_of
from tiltyard.editing import EditedSteps
from tiltyard.failure import Failure
from tiltyard.modelversions import ModelVersion

DIGESTS = {"a": "a" * 64, "b": "b" * 64, "c": "c" * 64, "a2": "d" * 64}


def version(name: str, digest: str | None = None) -> ModelVersion:
    document: Document = {
        "metadata": {"name": name},
        "spec": {
            "framework": "onnx",
            "source": {"uri": f"file:{name}.onnx", "sha256": digest or DIGESTS[name]},
        },
    }
    return ModelVersion(document, lambda one: one)


A, B, C = (version(name) for name in "abc")
SECOND_A = version("a", DIGESTS["a2"])
RAMP = {"linear": {"duration": "1h"}}


def edited(spec: Document | None = None) -> tuple[Draft, EditedSteps]:
    draft = Draft(spec)
    return draft, EditedSteps(draft)


Edit = Callable[[EditedSteps], EditedSteps]

STEPS: list[tuple[str, Edit, Document]] = [
    ("model", lambda steps: steps.add_model_step(A), {"name": "model", "model": "a"}),
    (
        "split",
        lambda steps: steps.add_random_split([(2, A), (1, B)], "session_id"),
        {
            "name": "split",
            "split": {
                "hashKey": {"field": "session_id"},
                "variants": [{"model": "a", "weight": 2}, {"model": "b", "weight": 1}],
            },
        },
    ),
    (
        "shadow",
        lambda steps: steps.add_shadow_deploy(A, [B, C]),
        {
            "name": "shadow",
            "shadow": {
                "champion": "a",
                "challengers": [{"model": "b"}, {"model": "c"}],
                "outputs": "respond",
            },
        },
    ),
    (
        "canary",
        lambda steps: steps.add_canary(A, B, RAMP, guards={"minUnits": 5}, name="swap"),
        {
            "name": "swap",
            "canary": {
                "stable": "a",
                "candidate": "b",
                "ramp": RAMP,
                "guards": {"minUnits": 5},
            },
        },
    ),
    (
        "interleave",
        lambda steps: steps.add_interleave([A, B], "items", hash_key="user"),
        {
            "name": "interleave",
            "interleave": {
                "rankers": ["a", "b"],
                "output": "items",
                "length": 10,
                "hashKey": {"field": "user"},
            },
        },
    ),
]


@pytest.mark.parametrize(("kind", "add", "step"), STEPS, ids=[kind for kind, _, _ in STEPS])
def test_each_kind_of_step_becomes_what_a_manifest_says_and_lists_its_models(
    kind: str, add: Edit, step: Document
) -> None:
    draft, steps = edited()
    assert add(steps) is steps
    assert steps.steps() == [step]
    listed = [one["name"] for one in draft.spec()["models"]]
    assert listed == list(models_of(step))
    assert all(one["source"]["sha256"] for one in draft.spec()["models"]), "pinned"
    assert kind in step


REPLACED: list[tuple[str, Edit]] = [
    ("model", lambda steps: steps.replace_with_model_step(1, A)),
    ("split", lambda steps: steps.replace_with_random_split(1, [(1, A), (0, B)])),
    ("shadow", lambda steps: steps.replace_with_shadow_deploy(1, A, [B], outputs="log")),
    ("canary", lambda steps: steps.replace_with_canary(1, A, B, RAMP)),
    ("interleave", lambda steps: steps.replace_with_interleave(1, [A, B], "items")),
]


@pytest.mark.parametrize(("kind", "replace"), REPLACED, ids=[kind for kind, _ in REPLACED])
def test_a_step_is_replaced_in_its_place_and_what_only_it_named_is_gone(
    kind: str, replace: Edit
) -> None:
    draft, steps = edited()
    steps.add_model_step(B, name="first").add_model_step(C, name="second")
    steps.add_model_step(B, name="third")
    replace(steps)
    names = [step["name"] for step in steps.steps()]
    assert names == ["first", "second" if kind == "model" else kind, "third"]
    assert kind in steps.steps()[1]
    assert {one["name"] for one in draft.spec()["models"]} <= {"a", "b"}


def test_steps_of_one_kind_get_names_of_their_own() -> None:
    _, steps = edited()
    steps.add_model_step(A).add_model_step(B).add_model_step(C).remove_step(1).add_model_step(B)
    assert [step["name"] for step in steps.steps()] == ["model", "model-3", "model-2"]


def test_two_versions_of_one_model_stand_side_by_side_and_the_second_takes_over_the_name() -> None:
    draft, steps = edited()
    steps.add_canary(A, SECOND_A, RAMP)
    assert [one["name"] for one in draft.spec()["models"]] == ["a", "a-dddddddd"]
    steps.clear().add_model_step(A).replace_with_model_step(0, SECOND_A)
    (only,) = draft.spec()["models"]
    assert (only["name"], only["source"]["sha256"]) == ("a", DIGESTS["a2"])


WHOLE: Document = {
    "models": [
        {"name": "a", "framework": "onnx", "source": {"uri": "file:a.onnx"}, "threads": 2},
        {"name": "shared", "modelRef": {"name": "shared-x"}},
    ],
    "steps": [
        {"name": "one", "model": "a", "inputs": {"x": "request.y"}},
        {"name": "two", "model": "shared"},
    ],
    "deployment": {"replicas": 3, "pod": {"labels": {"team": "x"}}},
    "suspend": False,
}


def test_a_pipeline_that_was_fetched_is_whole_and_stays_so_where_it_is_not_edited() -> None:
    draft, steps = edited(WHOLE)
    assert draft.spec() == WHOLE
    steps.replace_with_model_step(1, B)
    spec = draft.spec()
    assert spec["steps"][0] == WHOLE["steps"][0]
    assert spec["steps"][1] == {"name": "two", "model": "b"}
    assert spec["deployment"] == WHOLE["deployment"]
    assert spec["models"][0] == WHOLE["models"][0]


def test_positions_that_there_are_not_are_refused() -> None:
    _, steps = edited(WHOLE)
    for wrong in (2, -1):
        with pytest.raises(Failure, match="there are 2, from 0"):
            steps.remove_step(wrong)


def test_weights_change_where_they_are_named_and_nowhere_else() -> None:
    draft, steps = edited()
    steps.add_random_split([(2, A), (1, B)]).add_random_split([(1, C)], name="other")
    with pytest.raises(Failure, match=r"not exactly one split \(there: split, other\)"):
        draft.weigh({"a": 0}, None)
    with pytest.raises(Failure, match="split has no variant 'c': a, b"):
        draft.weigh({"c": 0}, "split")
    draft.weigh({"a": 0}, "split")
    weights = [one["weight"] for one in steps.steps()[0]["split"]["variants"]]
    assert weights == [0, 1]


def test_a_deployment_is_said_call_by_call() -> None:
    built = DeploymentConfigBuilder().replica_count(1).cpus(0.5).memory("1Gi").build()
    assert built == {"replicas": 1, "cpus": 0.5, "memory": "1Gi"}
    scaled = DeploymentConfigBuilder().replica_count(3).replica_autoscale_min_max(5, 2)
    assert scaled.autoscale_cpu_utilization(60).build() == {
        "autoscaling": {"min": 2, "max": 5, "cpuUtilization": 60}
    }
    labelled = DeploymentConfigBuilder().deployment_label("zone=a").build()
    assert labelled == {"pod": {"nodeSelector": {"zone": "a"}}}
    for wrong in (
        lambda: DeploymentConfigBuilder().replica_autoscale_min_max(2, 3),
        lambda: DeploymentConfigBuilder().autoscale_cpu_utilization(50),
        lambda: DeploymentConfigBuilder().deployment_label("zone"),
    ):
        with pytest.raises(Failure, match=":"):
            wrong()


def test_records_go_where_it_is_said_and_stay_when_steps_go() -> None:
    draft, steps = edited()
    where = {"uri": "s3://kept/here", "secret": "keys"}
    steps.set_records(**where, sample=0.5, hashed=["in.mail"])
    said = {
        "sink": {"uri": "s3://kept/here", "secretName": "keys"},
        "sample": 0.5,
        "hash": ["in.mail"],
    }
    assert draft.spec()["records"] == said
    steps.clear().add_model_step(A)
    assert draft.spec()["records"] == said
    steps.set_records(None)
    assert "records" not in draft.spec()
