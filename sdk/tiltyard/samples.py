"""A request to try: made from what a plan takes."""

import json
import shlex
from collections.abc import Sequence

from tiltyard_api.plan import Plan, PlanDrawn, PlanHashKey
from tiltyard_api.tensors import ANY_LENGTH, TensorType

LONGEST_COMMAND = 4000
"""Characters: a longer line is nothing to paste."""

Record = dict[str, object]


def sample_record(plan: Plan) -> Record:
    """Give a record with every column that the plan reads."""
    record: Record = {key.field: "someone" for key in _hash_keys(plan) if key.field}
    for tensor in plan.request:
        shape = () if tensor.stacked else tensor.shape
        for column in tensor.columns:
            record[column] = _value(tensor.type, shape)
    return record


def curl_command(plan: Plan, url: str, record: Record | None = None) -> str:
    """Command that sends a record, or that tells how where a line could not hold it."""
    headers = ["Content-Type: application/json"]
    headers += [f"{key.header}: someone" for key in _hash_keys(plan) if key.header]
    options = " ".join(f"-H {shlex.quote(header)}" for header in headers)
    body = shlex.quote(json.dumps([record or sample_record(plan)]))
    command = f"curl -s {url}/pipelines/{plan.pipeline} {options} -d {body}"
    if len(command) > LONGEST_COMMAND:
        return f"tiltyard infer {plan.pipeline} --data FILE --url {url}"
    return command


def _hash_keys(plan: Plan) -> list[PlanHashKey]:
    return [step.hash_key for step in plan.steps if isinstance(step, PlanDrawn) and step.hash_key]


def _value(kind: TensorType, shape: Sequence[int]) -> object:
    lengths = [1 if length == ANY_LENGTH else length for length in shape]
    scalar: object = 1
    if kind is TensorType.STRING:
        scalar = "text"
    elif kind is TensorType.BOOL:
        scalar = True
    elif kind.startswith("float"):
        scalar = 0.5
    if tuple(shape) in ((), (1,)):
        return scalar
    value = scalar
    for length in reversed(lengths):
        value = [value] * length
    return value
