"""Whatever a manifest holds, reading and compiling it ends in a plan or in faults."""

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from yaml import safe_load

from makers import SHARED, Document, make_document, make_pipeline
from tiltyard_api.base import canonical
from tiltyard_api.faults import Fault, InvalidManifest
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.plan import Plan
from tiltyard_api.resolved import GraphTensor, ResolvedModel
from tiltyard_api.tensors import TensorType
from tiltyard_api.v1alpha1.model import Model
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_plan, compile_routing

POD = """
labels: {team: shop}
nodeSelector: {disk: fast}
tolerations: [{key: dedicated, operator: Exists}]
affinity:
  podAntiAffinity:
    requiredDuringSchedulingIgnoredDuringExecution:
      - {topologyKey: zone, labelSelector: {matchLabels: {team: shop}}}
env: [{name: A, value: b}, {name: C, valueFrom: {secretKeyRef: {name: d, key: e}}}]
volumes: [{name: v, projected: {sources: [{secret: {name: d}}]}}]
volumeMounts: [{name: v, mountPath: /mnt/v}]
"""
SCALED = {"autoscaling": {"min": 1, "max": 3}, "pod": safe_load(POD)}

SWAP = """
name: swap
canary:
  {stable: a, candidate: c, ramp: {steps: [{weight: 5, hold: 1m}, {weight: 50}]}, guards: {}}
"""
VALID = make_document(
    {
        "spec.deployment": SCALED,
        "spec.models[1]": safe_load("{name: b, modelRef: {name: shared}}"),
        "spec.steps[1]": safe_load(SWAP),
    }
)
MODEL = make_document(of=SHARED)

WORDS = """
    apiVersion kind metadata name namespace spec models steps source uri framework inputs outputs
    columns shape from type batch threads timeout split shadow variants weight model hashKey field
    header missing salt champion challengers sample budget compare output tolerance threshold keep
    deployment replicas cpus memory suspend canary stable candidate ramp linear steps duration
    target hold guards errors latency margin maxExcess above alpha minUnits status request a b c
    onnx 1s 1Gi
    request.x price.y autoscaling min max pod labels env value valueFrom volumes volumeMounts
    mountPath modelRef python workers tolerations affinity emptyDir secret /tmp tiltyard-v
    TILTYARD_X app.kubernetes.io/name
"""
words = st.sampled_from(WORDS.split())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.integers(),
    st.floats(),
    words,
    st.text(max_size=8),
    st.dates(),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(words | st.text(max_size=4), inner, max_size=5),
        st.dictionaries(st.integers() | st.dates(), inner, max_size=1),
    ),
    max_leaves=12,
)


Place = tuple[Any, Any]


def places(value: Document | list[Any]) -> Iterator[Place]:
    """Every container of a document with every key in it."""
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield value, key
        if isinstance(inner, dict | list):
            yield from places(inner)


@st.composite
def damaged(draw: st.DrawFn, valid: Document) -> Document:
    """Give a valid manifest with a few of its values replaced, removed or added to."""
    document = copy.deepcopy(valid)
    for _ in range(draw(st.integers(0, 4))):
        container, key = draw(st.sampled_from(list(places(document))))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                container[key] = draw(values)
            case "remove":
                del container[key]
            case _ if isinstance(container, dict):
                container[draw(words)] = draw(values)
            case _:
                container.append(draw(values))
    return document


def read(
    document: object, reader: Callable[[object], Pipeline | Model] = read_pipeline
) -> Pipeline | Model | Sequence[Fault]:
    """Read a document, or give its faults; anything else that is raised fails the test."""
    try:
        return reader(document)
    except InvalidManifest as refused:
        return refused.faults


@given(values)
def test_reading_anything_ends_in_faults(document: object) -> None:
    faults = read(document)
    assert isinstance(faults, Sequence)
    assert faults
    assert all(fault.path and fault.message for fault in faults)


@given(damaged(MODEL))
def test_reading_a_damaged_model_ends_in_a_model_or_in_faults(document: Document) -> None:
    result = read(document, read_model)
    if isinstance(result, Model):
        assert read_model(json.loads(canonical(result))) == result
    else:
        assert isinstance(result, Sequence)
        assert result
        assert all(fault.path and fault.message for fault in result)


@given(damaged(VALID))
def test_reading_a_damaged_manifest_ends_in_a_pipeline_or_in_faults(document: Document) -> None:
    result = read(document)
    if isinstance(result, Pipeline):
        assert read_pipeline(json.loads(canonical(result))) == result
    else:
        assert isinstance(result, Sequence)
        assert result
        assert all(fault.path and fault.message for fault in result)


shapes = st.lists(st.sampled_from([-1, 1, 2, 4]), max_size=3).map(tuple)
types = st.sampled_from([*TensorType, "seq(map(int64,tensor(float)))"])
tensors = st.lists(
    st.builds(GraphTensor, name=st.sampled_from("xyz"), type=types, shape=shapes),
    max_size=3,
    unique_by=lambda tensor: tensor.name,
).map(tuple)
artifacts = st.builds(
    ResolvedModel, digest=st.just("0" * 64), size=st.just(1), inputs=tensors, outputs=tensors
)

declared = st.none() | st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("xyz"), "type": st.sampled_from(TensorType)},
        optional={
            "from": st.sampled_from("xyz"),
            "shape": shapes.map(list),
        },
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda tensor: tensor["name"],
)
columns = st.none() | st.lists(st.sampled_from("pqrs"), min_size=1, max_size=4)
mappings = st.none() | st.dictionaries(
    st.sampled_from("xyz"), st.sampled_from(["request.x", "request.q", "price.x", "price.y"])
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Give manifests that can be read and may or may not fit their models."""
    models = []
    for name in "abc":
        inputs = draw(declared)
        for one in inputs or ():
            one["columns"] = draw(columns)
        batch = draw(st.sampled_from(["rows", "single"]))
        entry = {"name": name, "framework": "onnx", "source": {"uri": "file:x"}, "batch": batch}
        models.append({**entry, "inputs": inputs, "outputs": draw(declared)})
    kinds = {
        "split": {"variants": [{"model": "a", "weight": 1}, {"model": "b", "weight": 2}]},
        "shadow": {
            "champion": "a",
            "challengers": [{"model": "b"}],
            "compare": draw(st.none() | st.just({"output": "x"})),
        },
        "canary": {"stable": "a", "candidate": "b", "ramp": {"linear": {"duration": "1h"}}},
    }
    kind = draw(st.sampled_from(sorted(kinds)))
    last = {"name": "last", "model": "c", "inputs": draw(mappings)}
    return make_pipeline([{"name": "price", kind: kinds[kind]}, last], models=models)


def compiled(pipeline: Pipeline, resolved: Mapping[str, ResolvedModel]) -> Plan | Sequence[Fault]:
    """Compile, or give the faults; anything else that is raised fails the test."""
    try:
        return compile_plan(pipeline, resolved)
    except InvalidManifest as refused:
        return refused.faults


@given(pipelines(), st.tuples(artifacts, artifacts, artifacts))
def test_compiling_ends_in_a_plan_or_in_faults(
    pipeline: Pipeline, resolved: tuple[ResolvedModel, ...]
) -> None:
    plan = compiled(pipeline, dict(zip("abc", resolved, strict=True)))
    if not isinstance(plan, Plan):
        assert plan
        assert len(set(plan)) == len(plan)
        return
    keys = {tensor.key for tensor in plan.request}
    given_by = {step.name: {tensor.name for tensor in step.outputs} for step in plan.steps}
    for step in plan.steps:
        for source in step.inputs:
            assert source.key in (given_by[source.step] if source.step else keys)
    assert compile_routing(pipeline, plan, uid="u", revision=0).plan == plan.hash
