"""A Pipeline whose models are objects of their own."""

import pytest

from makers import make_document, make_model, make_pipeline, make_resolved
from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_plan
from tiltyard_core.references import entries, referred, with_models

RESOLVED = {name: make_resolved() for name in "ab"} | {
    "c": make_resolved("y float32[?,1] -> z float32[?,1]")
}


def referring(*models: int) -> Pipeline:
    """The usual Pipeline, with references in these places of its models."""
    changes = {
        f"spec.models[{index}]": {"name": "abc"[index], "modelRef": {"name": f"m{index}"}}
        for index in models
    }
    return read_pipeline(make_document(changes))


def faults_of(pipeline: Pipeline) -> list[str]:
    with pytest.raises(InvalidManifest) as refused:
        with_models(pipeline, {"m0": make_model("m0")})
    return list(map(str, refused.value.faults))


def test_a_pipeline_says_which_models_it_refers_to() -> None:
    assert referred(referring(0, 2)) == {"m0", "m2"}
    assert referred(make_pipeline()) == set()


def test_a_reference_takes_everything_but_the_name_from_its_model() -> None:
    (_, first), (path, second), _ = entries(
        with_models(referring(1), {"m1": make_model("m1", batch="single", timeout="7s")})
    )
    assert (first.name, first.threads) == ("a", 1)
    assert path == "Model m1: spec"
    assert (second.name, second.source.uri) == ("b", "file:shared.onnx")
    assert (second.threads, second.batch, second.timeout) == (4, "single", "7s")


def test_a_pipeline_without_references_stays_as_it_is() -> None:
    assert with_models(make_pipeline(), {"m0": make_model("m0")}) == make_pipeline()


def test_the_plan_is_the_one_that_the_model_in_place_would_give() -> None:
    entry = {"name": "a", "framework": "onnx", "source": {"uri": "file:else.onnx"}, "threads": 4}
    in_place = read_pipeline(make_document({"spec.models[0]": entry}))
    shared = with_models(referring(0), {"m0": make_model("m0")})
    assert compile_plan(shared, RESOLVED) == compile_plan(in_place, RESOLVED)


def test_every_model_that_is_not_there_is_a_fault() -> None:
    remedy = "create it, or describe the model in place by framework and source"
    assert faults_of(referring(0, 1, 2)) == [
        f"spec.models[1].modelRef.name: no Model 'm1' in namespace 'default': {remedy}",
        f"spec.models[2].modelRef.name: no Model 'm2' in namespace 'default': {remedy}",
    ]


def test_workers_of_shared_models_must_fit_too() -> None:
    signature = [{"name": "x", "type": "float32"}]
    model = make_model(
        "m0", framework="python", inputs=signature, outputs=signature, memory="400Mi", workers=2
    )
    shared = with_models(referring(0), {"m0": model})
    with pytest.raises(InvalidManifest) as refused:
        compile_plan(shared, RESOLVED | {"a": make_resolved("x float32[?] -> x float32[?]")})
    (fault,) = refused.value.faults
    assert fault.path == "spec.deployment.memory"
    assert "need 1056Mi" in fault.message


def test_a_reference_that_nobody_has_followed_cannot_be_compiled() -> None:
    with pytest.raises(InvalidManifest, match="no Model 'm0' in namespace 'default'"):
        compile_plan(referring(0), RESOLVED)


def test_what_is_wrong_with_a_shared_model_is_said_of_the_model() -> None:
    outputs = [{"name": "y", "type": "int64"}]
    shared = with_models(referring(0), {"m0": make_model("m0", outputs=outputs)})
    with pytest.raises(InvalidManifest) as refused:
        compile_plan(shared, RESOLVED)
    assert list(map(str, refused.value.faults)) == [
        "Model m0: spec.outputs[0].type: is int64, the graph says float32: change it"
    ]
