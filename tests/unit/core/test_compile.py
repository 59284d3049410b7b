import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from yaml import safe_load, safe_load_all

from goldens import GOLDEN, check_golden
from makers import Document, make_document, make_pipeline, make_resolved
from tiltyard_api.base import canonical
from tiltyard_api.manifest import read_model, read_pipeline
from tiltyard_api.plan import Plan, PlanModelStep, PlanShadow, PlanSplit
from tiltyard_api.routing import RoutingTable
from tiltyard_core.compile import compile_plan, compile_routing
from tiltyard_core.references import with_models

RESOLVED = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}


def plan_of(model: str, **entry: object) -> Plan:
    """Compile one step with one model of a signature."""
    document = make_document({f"spec.models[0].{field}": value for field, value in entry.items()})
    document["spec"]["steps"] = [{"name": "only", "model": "a"}]
    return compile_plan(read_pipeline(document), RESOLVED | {"a": make_resolved(model)})


def shadow(**fields: object) -> Document:
    return {"name": "watch", "shadow": {"champion": "a", "challengers": [{"model": "b"}], **fields}}


@pytest.mark.parametrize(
    "case", sorted(path.parent.name for path in GOLDEN.glob("*/resolved.yaml"))
)
def test_golden_manifests_give_golden_plans(case: str, pytestconfig: pytest.Config) -> None:
    folder = GOLDEN / case
    update = pytestconfig.getoption("--update-golden")
    pipeline, *shared = safe_load_all((folder / "pipeline.yaml").read_text())
    objects = {model["metadata"]["name"]: read_model(model) for model in shared}
    pipeline = with_models(read_pipeline(pipeline), objects)
    models = safe_load((folder / "resolved.yaml").read_text())
    plan = compile_plan(pipeline, {name: make_resolved(text) for name, text in models.items()})
    table = compile_routing(pipeline, plan, uid="00000000-0000-0000-0000-000000000000", revision=1)
    for name, value in (("plan", plan), ("routing", table)):
        text = json.dumps(json.loads(canonical(value)), indent=2) + "\n"
        check_golden(folder / f"{name}.json", text, update=update)


def test_a_plan_survives_being_written_and_read() -> None:
    plan = compile_plan(make_pipeline(), RESOLVED)
    again = Plan.model_validate_json(canonical(plan))
    assert again == plan
    assert again.hash == plan.hash


def test_a_routing_table_survives_being_written_and_read() -> None:
    pipeline = make_pipeline()
    table = compile_routing(pipeline, compile_plan(pipeline, RESOLVED), uid="u", revision=3)
    assert RoutingTable.model_validate_json(canonical(table)) == table


def test_a_damaged_routing_table_is_refused() -> None:
    pipeline = make_pipeline()
    table = compile_routing(pipeline, compile_plan(pipeline, RESOLVED), uid="u", revision=3)
    damaged = canonical(table).replace(b'"a":2.0', b'"a":3.0')
    assert damaged != canonical(table)
    with pytest.raises(ValueError, match="hash does not match"):
        RoutingTable.model_validate_json(damaged)


def test_the_routing_table_names_its_plan_and_holds_weights_and_samples() -> None:
    weigh = {"name": "weigh", "split": {"variants": [{"model": "a", "weight": 0.5}]}}
    pipeline = make_pipeline([weigh, shadow(challengers=[{"model": "b", "sample": 0.25}])])
    resolved = dict.fromkeys("abc", make_resolved("x float32[?,4] -> x float32[?,4]"))
    plan = compile_plan(pipeline, resolved)
    table = compile_routing(pipeline, plan, uid="u", revision=3)
    assert json.loads(canonical(table)) == {
        "plan": plan.hash,
        "pipelineUid": "u",
        "revision": 3,
        "hash": table.computed_hash(),
        "steps": {
            "weigh": {"kind": "split", "weights": {"a": 0.5}},
            "watch": {"kind": "shadow", "samples": {"b": 0.25}},
        },
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("spec.steps[0].split.variants[0].weight", 3),
        ("spec.deployment.replicas", 7),
        ("spec.deployment.cpus", 2),
        ("spec.suspend", True),
    ],
)
def test_what_pods_need_not_load_leaves_the_plan_alone(field: str, value: object) -> None:
    changed = read_pipeline(make_document({field: value}))
    assert compile_plan(changed, RESOLVED).hash == compile_plan(make_pipeline(), RESOLVED).hash


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("metadata.name", "costs"),
        ("metadata.namespace", "shop"),
        ("spec.models[0].threads", 2),
        ("spec.models[0].timeout", "6s"),
        ("spec.steps[0].split.hashKey.missing", "reject"),
        ("spec.steps[0].split.hashKey.salt", "other"),
    ],
)
def test_what_pods_must_be_given_makes_another_plan(field: str, value: object) -> None:
    changed = compile_plan(read_pipeline(make_document({field: value})), RESOLVED)
    assert changed.hash != compile_plan(make_pipeline(), RESOLVED).hash
    assert changed.version != compile_plan(make_pipeline(), RESOLVED).version


def test_where_the_bytes_come_from_is_no_part_of_a_models_version() -> None:
    moved = read_pipeline(make_document({"spec.models[0].source.uri": "file:elsewhere.onnx"}))
    assert compile_plan(moved, RESOLVED) == compile_plan(make_pipeline(), RESOLVED)


@pytest.mark.parametrize(
    ("change", "resolved"),
    [
        ({}, {"a": make_resolved(seed="retrained")}),
        ({"spec.models[0].threads": 2}, {}),
        (
            {"spec.models[0].batch": "single"},
            {"b": make_resolved("x float32[?,4] -> y float32[1,1]")},
        ),
    ],
    ids=["other bytes", "other threads", "other batching"],
)
def test_other_bytes_or_another_configuration_make_another_version(
    change: Document, resolved: Document
) -> None:
    before = compile_plan(make_pipeline(), RESOLVED).models
    document = make_document(change)
    document["spec"]["steps"] = [{"name": "only", "model": "a"}]
    after = compile_plan(read_pipeline(document), RESOLVED | resolved).models
    assert after[0].version != before[0].version
    assert after[2].version == before[2].version


def test_hashes_are_the_same_in_every_process_and_for_every_order_of_fields() -> None:
    here = compile_plan(make_pipeline(), RESOLVED).hash
    script = (
        "import json, sys; from makers import *; from tiltyard_core.compile import compile_plan\n"
        "document = json.loads(json.dumps(make_document(), sort_keys=True))\n"
        "resolved = {'c': make_resolved('y float32[?,1] -> euro float32[?,1]'),"
        " 'b': make_resolved(seed='b'), 'a': make_resolved(seed='a')}\n"
        "print(compile_plan(read_pipeline(document), resolved).hash)"
    )
    support = Path(__file__).parents[2] / "support"
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(support)}
        command = [sys.executable, "-c", script]
        there = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        assert there.stdout.strip() == here


def test_the_canonical_spelling_is_sorted_compact_and_without_nulls() -> None:
    step = PlanModelStep(name="only", inputs=(), outputs=(), model="a")
    assert canonical(step) == b'{"inputs":[],"kind":"model","model":"a","name":"only","outputs":[]}'


def test_salts_default_to_where_the_step_is() -> None:
    split = compile_plan(make_pipeline(), RESOLVED).steps[0]
    assert isinstance(split, PlanSplit)
    assert split.salt == "default/prices/price"


def test_headers_are_spelt_as_the_parser_gives_them() -> None:
    document = make_document({"spec.steps[0].split.hashKey": {"header": "X-User-Id"}})
    split = compile_plan(read_pipeline(document), RESOLVED).steps[0]
    assert isinstance(split, PlanSplit)
    assert split.hash_key
    assert split.hash_key.header == "x-user-id"


@pytest.mark.parametrize(
    ("fields", "respond", "budget", "timeout"),
    [
        ({}, False, 1.0, 5.0),
        ({"outputs": "respond"}, True, 1.0, 5.0),
        ({"outputs": "respond", "budget": "50ms", "timeout": "1m30s"}, True, 0.05, 90.0),
    ],
)
def test_times_of_a_shadow_are_seconds(
    fields: Document, *, respond: bool, budget: float, timeout: float
) -> None:
    step = compile_plan(make_pipeline([shadow(**fields)]), RESOLVED).steps[0]
    assert isinstance(step, PlanShadow)
    assert (step.respond, step.budget, step.timeout) == (respond, budget, timeout)


@pytest.mark.parametrize(
    ("model", "entry", "batch", "rows", "input_shape", "output_shape"),
    [
        ("x float32[?,4] -> y float32[?,1]", {}, "rows", True, (4,), (1,)),
        ("x float32[?] -> y float32[?]", {}, "rows", True, (), ()),
        ("x float32[1,3,8,8] -> y float32[1,10]", {}, "single", True, (3, 8, 8), (1, 10)),
        ("x float32[?,4] -> y float32[?,6]", {"batch": "single"}, "single", True, (4,), (-1, 6)),
        (
            "x float32[9,9,3] -> y float32[?,6]",
            {"batch": "single"},
            "single",
            False,
            (9, 9, 3),
            (-1, 6),
        ),
        (
            "x float32[?,?,3] -> y float32[?,6]",
            {"batch": "single", "inputs": [{"name": "x", "type": "float32", "shape": [-1, -1, 3]}]},
            "single",
            False,
            (-1, -1, 3),
            (-1, 6),
        ),
        (
            "x float32[?,?] -> y float32[?,1]",
            {"inputs": [{"name": "x", "type": "float32", "shape": [4]}]},
            "rows",
            True,
            (4,),
            (1,),
        ),
        (
            "x float32[?,?] -> y float32[?,1]",
            {"inputs": [{"name": "x", "type": "float32", "columns": ["p", "q"]}]},
            "rows",
            True,
            (2,),
            (1,),
        ),
    ],
    ids=[
        "tensors with rows",
        "scalars with rows",
        "a graph of one row",
        "single by request",
        "single without rows",
        "an image of any size",
        "a shape that narrows the graph's",
        "columns that say the length",
    ],
)
def test_rows_and_shapes_are_agreed_between_manifest_and_graph(
    model: str,
    entry: Document,
    batch: str,
    *,
    rows: bool,
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
) -> None:
    planned = plan_of(model, **entry).models[0]
    assert (planned.batch, planned.row_dimension) == (batch, rows)
    assert planned.inputs[0].shape == input_shape
    assert planned.outputs[0].shape == output_shape


def test_a_mapped_input_is_taken_whole_even_where_columns_could_make_it() -> None:
    columns = [{"name": "x", "type": "float32", "columns": ["p", "q", "r", "s"]}]
    document = make_document({"spec.models[0].inputs": columns})
    document["spec"]["steps"] = [{"name": "only", "model": "a", "inputs": {"x": "request.vector"}}]
    (wanted,) = compile_plan(read_pipeline(document), RESOLVED).request
    assert (wanted.key, wanted.columns, wanted.stacked) == ("vector", ("vector",), False)


def test_a_step_takes_from_the_step_before_unless_it_is_mapped() -> None:
    document = make_document({"spec.steps[1].inputs": {"y": "request.y"}})
    plan = compile_plan(read_pipeline(document), RESOLVED)
    assert [source.step for source in plan.steps[1].inputs] == [None]
    assert [tensor.key for tensor in plan.request] == ["x", "y"]
    unmapped = compile_plan(make_pipeline(), RESOLVED)
    assert [source.step for source in unmapped.steps[1].inputs] == ["price"]
