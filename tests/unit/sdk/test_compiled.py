"""What a changed manifest asks for: new weights for the engine that runs, or another engine."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from makers import Document, make_document, make_resolved
from tiltyard.local.compiled import Compiled, compile_weights
from tiltyard.manifests import Manifest
from tiltyard_api.manifest import read_pipeline
from tiltyard_core.compile import compile_plan

SPLIT = "spec.steps[0].split"
RESOLVED = {name: make_resolved() for name in "ab"} | {
    "c": make_resolved("y float32[?,1] -> z float32[?,1]")
}


def manifest_of(changes: Mapping[str, Any] | None = None, remove: Sequence[str] = ()) -> Manifest:
    document: Document = make_document(changes, remove)
    return Manifest("p.yaml", Path("here"), read_pipeline(document))


def compiled_of(manifest: Manifest) -> Compiled:
    return Compiled(manifest, RESOLVED, compile_plan(manifest.pipeline, RESOLVED))


ROUTING: list[dict[str, Any]] = [
    {f"{SPLIT}.variants[0].weight": 5},
    {f"{SPLIT}.variants[0].weight": 0, f"{SPLIT}.variants[1].weight": 0.5},
    {f"{SPLIT}.variants[0].weight": 7, "spec.deployment.replicas": 9},
]

ENGINE: list[dict[str, Any]] = [
    {f"{SPLIT}.hashKey": {"field": "session"}},
    {f"{SPLIT}.hashKey.salt": "other"},
    {f"{SPLIT}.variants": [{"model": "b", "weight": 2}, {"model": "a", "weight": 1}]},
    {"spec.steps[0].name": "cost"},
    {"spec.models[0].source.uri": "file:other.onnx"},
    {"spec.models[0].threads": 2},
    {"metadata.name": "other"},
    {"metadata.namespace": "other"},
    {"metadata.uid": "4711"},
]


@pytest.mark.parametrize("changes", ROUTING, ids=str)
def test_weights_need_neither_resolver_nor_engine(changes: dict[str, Any]) -> None:
    old = compiled_of(manifest_of())
    compiled = compile_weights([manifest_of(changes)], [old])
    assert compiled is not None
    assert compiled[0].same_engine(old)
    assert compiled[0].routing(1) != old.routing(1)


@pytest.mark.parametrize("changes", ENGINE, ids=str)
def test_anything_else_reads_the_models_anew(changes: dict[str, Any]) -> None:
    assert compile_weights([manifest_of(changes)], [compiled_of(manifest_of())]) is None


def test_a_file_that_was_only_touched_reads_the_models_anew() -> None:
    assert compile_weights([manifest_of()], [compiled_of(manifest_of())]) is None


def test_another_folder_may_hold_other_models() -> None:
    changed = manifest_of(ROUTING[0])
    elsewhere = Manifest(changed.place, Path("elsewhere"), changed.pipeline)
    assert compile_weights([elsewhere], [compiled_of(manifest_of())]) is None


def test_one_pipeline_more_or_less_is_another_engine() -> None:
    both = [manifest_of(), manifest_of({"metadata.name": "other"})]
    assert compile_weights(both, [compiled_of(both[0])]) is None
    assert compile_weights(both[:1], list(map(compiled_of, both))) is None


def test_the_identity_of_a_pipeline_outlives_a_restart_and_can_be_given() -> None:
    assert compiled_of(manifest_of()).uid == compiled_of(manifest_of(ROUTING[0])).uid
    assert compiled_of(manifest_of({"metadata.uid": "4711"})).uid == "4711"
