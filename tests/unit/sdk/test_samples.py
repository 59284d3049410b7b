"""The request that is proposed to try: it must fit what the plan takes."""

import json
import shlex
from pathlib import Path

import pytest

from makers import make_pipeline, make_resolved
from tiltyard.samples import LONGEST_COMMAND, curl_command, sample_record
from tiltyard_api.plan import Plan
from tiltyard_core.compile import compile_plan

GOLDEN = Path(__file__).parents[2] / "golden"
URL = "http://127.0.0.1:8080"


def plan_of(signature: str) -> Plan:
    pipeline = make_pipeline(
        [{"name": "s", "model": "a"}],
        models=[{"name": "a", "framework": "onnx", "source": {"uri": "file:a.onnx"}}],
    )
    return compile_plan(pipeline, {"a": make_resolved(f"{signature} -> y float32[?,1]")})


@pytest.mark.parametrize(
    ("tensor", "value"),
    [
        ("x float32[?]", 0.5),
        ("x float64[?,1]", 0.5),
        ("x float16[?,3]", [0.5, 0.5, 0.5]),
        ("x int64[?,2,1]", [[1], [1]]),
        ("x uint8[?,?]", [1]),
        ("x int8[?,?,2]", [[1, 1]]),
        ("x bool[?,2]", [True, True]),
        ("x string[?]", "text"),
    ],
)
def test_each_type_and_shape_has_a_value(tensor: str, value: object) -> None:
    assert sample_record(plan_of(tensor)) == {"x": value}


def test_every_column_and_the_hash_key_are_there() -> None:
    plan = Plan.model_validate_json((GOLDEN / "split-by-key" / "plan.json").read_bytes())
    (key,) = (step.hash_key for step in plan.steps if step.kind == "split")
    assert key is not None
    record = sample_record(plan)
    wanted = {column for tensor in plan.request for column in tensor.columns}
    assert set(record) == wanted | ({key.field} if key.field else set())
    assert (f"{key.header}: someone" in curl_command(plan, URL)) is bool(key.header)


def test_the_command_survives_a_shell() -> None:
    command = curl_command(plan_of("it's float32[?,2]"), URL)
    *_, body = shlex.split(command)
    assert json.loads(body) == [{"it's": [0.5, 0.5]}]
    assert "Content-Type: application/json" in shlex.split(command)


def test_an_image_is_no_line_to_paste() -> None:
    command = curl_command(plan_of("x float32[?,3,480,640]"), URL)
    assert len(command) < LONGEST_COMMAND
    assert command == f"tiltyard infer prices --data FILE --url {URL}"
