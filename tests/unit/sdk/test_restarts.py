"""What a change of each field costs: a new routing table, another engine, or nothing at all."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from makers import make_document, make_resolved
from tiltyard.local.compiled import Compiled, compile_weights
from tiltyard.manifests import Manifest
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.v1alpha1.models import ListedModel
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_plan

EVERYTHING = """
apiVersion: tiltyard.dev/v1alpha1
kind: Pipeline
metadata: {name: everything, namespace: here, uid: u-1}
spec:
  models:
    - name: python
      framework: python
      source: {uri: file:python.zip}
      inputs: [{name: x, type: float32, shape: [4], columns: [p, q, r, s]}]
      outputs: [{name: y, type: float32, shape: [1]}]
    - {name: a, framework: onnx, source: {uri: file:a.onnx}}
    - {name: b, framework: onnx, source: {uri: file:b.onnx}}
    - {name: i, framework: onnx, source: {uri: file:i.onnx}}
    - {name: j, framework: onnx, source: {uri: file:j.onnx}}
    - {name: c, framework: onnx, source: {uri: file:c.onnx}}
  steps:
    - {name: alone, model: python}
    - {name: named, model: c, inputs: {x: request.z}}
    - name: split
      inputs: {x: request.z}
      split: {hashKey: {field: user}, variants: [{model: a, weight: 2}, {model: b, weight: 1}]}
    - name: shadow
      inputs: {x: request.z}
      shadow:
        champion: a
        challengers: [{model: b, sample: 0.5}]
        outputs: respond
        budget: 100ms
        compare: {output: y, tolerance: 0.5}
    - name: canary
      inputs: {x: request.z}
      canary:
        stable: a
        candidate: b
        hashKey: {field: user}
        ramp: {steps: [{weight: 5, hold: 1m}, {weight: 50}]}
        guards: {latency: {above: 50ms}}
    - name: ranked
      inputs: {x: request.z}
      interleave: {rankers: [i, j], output: items, hashKey: {field: user}}
"""
"""Every kind of step, so that each field can be changed."""

TRIED = """
apiVersion: tiltyard.dev/v1alpha1
kind: Pipeline
metadata: {name: tried, namespace: here, uid: u-2}
spec:
  models:
    - {name: a, framework: onnx, source: {uri: file:a.onnx}}
    - {name: b, framework: onnx, source: {uri: file:b.onnx}}
    - {name: c, framework: onnx, source: {uri: file:c.onnx}}
  steps:
    - {name: named, model: c, inputs: {x: request.z}}
    - name: price
      inputs: {x: request.z}
      split: {variants: [{model: a, weight: 2}, {model: b, weight: 1}]}
  experiment:
    metrics: [{name: paid, kind: binary}, {name: truth, kind: label, score: price.y}]
  records: {sink: {uri: "s3://prices/here"}, exclude: [in.z]}
  validations: [{name: dear, expression: "out.y[0] > 1.0"}]
"""
"""An experiment, which is about one step; what is written down, and what is looked at."""

RANKED = make_resolved("x float32[?,4] -> items int64[?,-1], others int64[?,-1]")
RESOLVED = {name: make_resolved(seed=name) for name in "abc"}
RESOLVED |= {"i": RANKED, "j": RANKED}

MODEL, LAST, STEPS = "spec.models[0]", "spec.models[5]", "spec.steps"
SPLIT = f"{STEPS}[2].split"
SHADOW = f"{STEPS}[3].shadow"
CANARY = f"{STEPS}[4].canary"
RANKERS = f"{STEPS}[5].interleave"
INPUT = {"name": "x", "type": "float32", "shape": [4], "columns": ["p", "q", "r", "s"]}

METRICS = "spec.experiment.metrics"
RECORDS = "spec.records"

Changes = Mapping[str, Any]

TABLE: Mapping[str, Changes] = {
    "steps.split.variants.weight": {f"{SPLIT}.variants[0].weight": 3},
    "steps.shadow.challengers.sample": {f"{SHADOW}.challengers[0].sample": 0.25},
    "steps.canary.ramp.steps.weight": {f"{CANARY}.ramp.steps[0].weight": 7},
    "steps.canary.ramp.steps.hold": {f"{CANARY}.ramp.steps[0].hold": "2m"},
    "steps.canary.ramp.linear.duration": {f"{CANARY}.ramp": {"linear": {"duration": "1h"}}},
    "steps.canary.ramp.linear.target": {
        f"{CANARY}.ramp": {"linear": {"duration": "1h", "target": 50}}
    },
    "steps.canary.guards.errors.margin": {f"{CANARY}.guards.errors": {"margin": 1}},
    "steps.canary.guards.errors.maxExcess": {f"{CANARY}.guards.errors": {"maxExcess": 0.1}},
    "steps.canary.guards.latency.margin": {f"{CANARY}.guards.latency.margin": 1},
    "steps.canary.guards.latency.above": {f"{CANARY}.guards.latency.above": "60ms"},
    "steps.canary.guards.invalid.margin": {f"{CANARY}.guards.invalid": {"margin": 1}},
    "steps.canary.guards.alpha": {f"{CANARY}.guards.alpha": 0.05},
    "steps.canary.guards.minUnits": {f"{CANARY}.guards.minUnits": 7},
    # The more engines there may be, the less alpha has each of them.
    "deployment.replicas": {"spec.deployment": {"replicas": 3}},
    "deployment.autoscaling.max": {"spec.deployment": {"autoscaling": {"min": 1, "max": 4}}},
}
"""Weights, samples, stages and guards: nothing is restarted."""

ENGINE: Mapping[str, Changes] = {
    "models.name": {f"{MODEL}.name": "other", f"{STEPS}[0].model": "other"},
    "models.framework": {
        f"{LAST}.framework": "python",
        f"{LAST}.memory": "100Mi",
        f"{LAST}.inputs": [{"name": "x", "type": "float32", "shape": [4]}],
        f"{LAST}.outputs": [{"name": "y", "type": "float32", "shape": [1]}],
    },
    "models.inputs.name": {f"{MODEL}.inputs": [INPUT | {"name": "w"}]},
    "models.inputs.type": {f"{MODEL}.inputs": [INPUT | {"type": "float64"}]},
    "models.inputs.shape": {
        f"{MODEL}.inputs": [INPUT | {"shape": [3], "columns": ["p", "q", "r"]}]
    },
    "models.inputs.from": {
        f"{LAST}.inputs": [{"name": "w", "type": "float32", "shape": [4], "from": "x"}],
        f"{STEPS}[1].inputs": {"w": "request.z"},
    },
    "models.inputs.columns": {f"{MODEL}.inputs": [INPUT | {"columns": ["s", "r", "q", "p"]}]},
    "models.outputs.name": {f"{MODEL}.outputs[0].name": "z"},
    "models.outputs.type": {f"{MODEL}.outputs[0].type": "float64"},
    "models.outputs.shape": {f"{MODEL}.outputs[0].shape": [2]},
    "models.outputs.from": {
        f"{LAST}.outputs": [{"name": "z", "type": "float32", "shape": [1], "from": "y"}]
    },
    "models.batch": {f"{LAST}.batch": "single"},
    "models.threads": {"spec.models[1].threads": 2},
    "models.timeout": {f"{MODEL}.timeout": "6s"},
    "models.memory": {f"{MODEL}.memory": "256Mi"},
    "models.workers": {f"{MODEL}.workers": 1, f"{MODEL}.memory": "300Mi"},
    "steps.name": {f"{STEPS}[2].name": "other"},
    "steps.inputs": {f"{STEPS}[2].inputs": {"x": "request.y"}},
    "steps.model": {f"{STEPS}[0]": {"name": "alone", "model": "c"}},
    "steps.split.hashKey.field": {f"{SPLIT}.hashKey": {"field": "session"}},
    "steps.split.hashKey.header": {f"{SPLIT}.hashKey": {"header": "x-user"}},
    "steps.split.hashKey.missing": {f"{SPLIT}.hashKey.missing": "first"},
    "steps.split.hashKey.salt": {f"{SPLIT}.hashKey.salt": "other"},
    "steps.split.variants.model": {f"{SPLIT}.variants[1].model": "c"},
    "steps.shadow.champion": {f"{SHADOW}.champion": "c"},
    "steps.shadow.challengers.model": {f"{SHADOW}.challengers[0].model": "c"},
    "steps.shadow.outputs": {f"{SHADOW}.outputs": "log", f"{SHADOW}.budget": None},
    "steps.shadow.budget": {f"{SHADOW}.budget": "200ms"},
    "steps.shadow.timeout": {f"{SHADOW}.timeout": "6s"},
    "steps.shadow.compare.output": {f"{SHADOW}.compare": None},
    "steps.shadow.compare.tolerance": {f"{SHADOW}.compare.tolerance": 0.25},
    "steps.shadow.compare.threshold": {f"{SHADOW}.compare.threshold": 0.5},
    "steps.shadow.compare.keep": {
        f"{SHADOW}.outputs": "log",
        f"{SHADOW}.budget": None,
        f"{SHADOW}.compare.keep": 9,
    },
    "steps.canary.stable": {f"{CANARY}.stable": "c"},
    "steps.canary.candidate": {f"{CANARY}.candidate": "c"},
    "steps.canary.hashKey.field": {f"{CANARY}.hashKey": {"field": "session"}},
    "steps.canary.hashKey.header": {f"{CANARY}.hashKey": {"header": "x-user"}},
    "steps.canary.hashKey.missing": {f"{CANARY}.hashKey.missing": "first"},
    "steps.canary.hashKey.salt": {f"{CANARY}.hashKey.salt": "other"},
    "steps.interleave.rankers": {f"{RANKERS}.rankers": ["j", "i"]},
    "steps.interleave.output": {f"{RANKERS}.output": "others"},
    "steps.interleave.length": {f"{RANKERS}.length": 5},
    "steps.interleave.hashKey.field": {f"{RANKERS}.hashKey": {"field": "session"}},
    "steps.interleave.hashKey.header": {f"{RANKERS}.hashKey": {"header": "x-user"}},
    "steps.interleave.hashKey.missing": {f"{RANKERS}.hashKey.missing": "first"},
    "steps.interleave.hashKey.salt": {f"{RANKERS}.hashKey.salt": "other"},
    "experiment.metrics.name": {f"{METRICS}[0].name": "other"},
    "experiment.metrics.kind": {f"{METRICS}[0].kind": "count"},
    "experiment.metrics.score": {f"{METRICS}[1].score": "named.y"},
    "experiment.metrics.threshold": {f"{METRICS}[1].threshold": 0.25},
    "experiment.idSecretName": {"spec.experiment.idSecretName": "ids"},
    "records.sink.uri": {f"{RECORDS}.sink.uri": "s3://prices/there"},
    "records.sink.secretName": {f"{RECORDS}.sink.secretName": "store"},
    "records.sink.keepSize": {f"{RECORDS}.sink.keepSize": "2Gi"},
    "records.sink.keepFor": {f"{RECORDS}.sink.keepFor": "24h"},
    "records.sample": {f"{RECORDS}.sample": 0.5},
    "records.inputs": {f"{RECORDS}.inputs": False},
    "records.exclude": {f"{RECORDS}.exclude": ["out.y"]},
    "records.hash": {f"{RECORDS}.hash": ["out.y"]},
    "validations.name": {"spec.validations[0].name": "cheap"},
    "validations.expression": {"spec.validations[0].expression": "out.y[0] > 2.0"},
}
"""What an engine loads: another one takes over."""

BYTES: Mapping[str, Changes] = {
    "models.source.uri": {f"{MODEL}.source.uri": "file:other.zip"},
    "models.source.sha256": {f"{MODEL}.source.sha256": "0" * 64},
    "models.source.secretName": {f"{MODEL}.source.secretName": "other"},
}
"""Where models come from: they are read anew, and another engine takes over for other bytes."""

NOTHING: Mapping[str, Changes] = {
    "deployment.autoscaling.min": {"spec.deployment": {"autoscaling": {"min": 1, "max": 1}}},
    "deployment.autoscaling.cpuUtilization": {
        "spec.deployment": {"autoscaling": {"min": 1, "max": 1, "cpuUtilization": 50}}
    },
    "deployment.cpus": {"spec.deployment": {"cpus": 2}},
    "deployment.memory": {"spec.deployment": {"memory": "2Gi"}},
    "deployment.pod": {"spec.deployment": {"pod": {"labels": {"team": "prices"}}}},
    "suspend": {"spec.suspend": True},
    "experiment.metrics.better": {f"{METRICS}[0].better": "lower"},
    "experiment.metrics.goal": {f"{METRICS}[1].goal": True},
    "experiment.alpha": {"spec.experiment.alpha": 0.01},
    "experiment.minUnits": {"spec.experiment.minUnits": 7},
}
"""What no engine here is told: a cluster does something about it, or whoever reads a report."""

ELSEWHERE = {"models.modelRef.name"}
"""`test_cli_shared.py` has Models in files of their own."""


def compiled_of(changes: Changes, digest: str = "1" * 64, of: str = EVERYTHING) -> Compiled:
    """Compile with fields changed, or removed where the value is None."""
    gone = [path for path, value in changes.items() if value is None]
    given = {path: value for path, value in changes.items() if value is not None}
    pipeline = read_pipeline(make_document(given, gone, of=of))
    first = pipeline.spec.models[0]
    python = {first.name: as_declared(first, digest)} if of is EVERYTHING else {}
    resolved = RESOLVED | python
    manifest = Manifest("p.yaml", Path("here"), pipeline)
    return Compiled(manifest, resolved, compile_plan(pipeline, resolved))


def as_declared(listed: ListedModel, digest: str) -> ResolvedModel:
    """What trying a Python model finds: what its manifest says."""
    inputs, outputs = (
        tuple(
            GraphTensor(name=one.name, type=one.type, shape=(-1, *(one.shape or ())))
            for one in tensors or ()
        )
        for tensors in (listed.inputs, listed.outputs)
    )
    return ResolvedModel(digest=digest, size=1, inputs=inputs, outputs=outputs)


def before_and_after(field: str, changes: Changes) -> tuple[Compiled, Compiled]:
    """Compile the manifest that has a field, as it is and changed."""
    tried = field.startswith(("experiment.", "records.", "validations."))
    of = TRIED if tried else EVERYTHING
    return compiled_of({}, of=of), compiled_of(changes, of=of)


OLD = compiled_of({})


@pytest.mark.parametrize("field", TABLE)
def test_weights_samples_stages_and_guards_restart_nothing(field: str) -> None:
    found = compile_weights([compiled_of(TABLE[field]).manifest], [OLD])
    assert found is not None
    assert found[0].plan == OLD.plan
    assert found[0].same_engine(OLD)


@pytest.mark.parametrize("field", ENGINE)
def test_anything_else_that_is_loaded_needs_another_engine(field: str) -> None:
    old, new = before_and_after(field, ENGINE[field])
    assert compile_weights([new.manifest], [old]) is None
    assert not new.same_engine(old)


@pytest.mark.parametrize("field", BYTES)
def test_where_models_come_from_has_them_read_anew(field: str) -> None:
    new = compiled_of(BYTES[field])
    assert compile_weights([new.manifest], [OLD]) is None
    assert not compiled_of(BYTES[field], digest="2" * 64).same_engine(OLD)


@pytest.mark.parametrize("field", NOTHING)
def test_what_no_engine_here_is_told_changes_nothing(field: str) -> None:
    old, new = before_and_after(field, NOTHING[field])
    assert compile_weights([new.manifest], [old]) is None
    assert new.same_engine(old)
    assert new.same_routing(old)


@pytest.mark.parametrize("field", ["name", "namespace", "uid"])
def test_another_name_is_another_pipeline(field: str) -> None:
    new = compiled_of({f"metadata.{field}": "other"})
    assert compile_weights([new.manifest], [OLD]) is None
    assert not new.same_engine(OLD)


def test_every_field_of_a_spec_is_in_one_of_the_tables() -> None:
    tables = [*TABLE, *ENGINE, *BYTES, *NOTHING, *ELSEWHERE]
    assert len(tables) == len(set(tables))
    assert set(leaves(SCHEMA["$defs"]["PipelineSpec"])) == set(tables)


SCHEMA = Pipeline.model_json_schema()


def leaves(schema: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Every field that holds a value, by its path without the brackets of lists."""
    whole = resolved(schema)
    if "properties" in whole and path != "deployment.pod":
        for name, one in whole["properties"].items():
            yield from leaves(one, f"{path}.{name}".removeprefix("."))
    elif whole.get("type") == "array":
        yield from leaves(whole["items"], path)
    else:
        yield path


def resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follow references, and leave out that a field may be null."""
    for one in schema.get("anyOf", ()):
        if one.get("type") != "null":
            return resolved(one)
    return SCHEMA["$defs"][schema["$ref"].split("/")[-1]] if "$ref" in schema else schema
