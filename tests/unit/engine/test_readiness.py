"""When an engine says that it is not ready: where a step can answer nobody."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from python_models import DOUBLE, made, written
from tiltyard_api.plan import AnyPlanStep, Plan, PlanInterleave, PlanModelStep, PlanSplit
from tiltyard_api.routing import RoutingTable
from tiltyard_engine.counters import CounterFile, Layout
from tiltyard_engine.http.message import Request, Response
from tiltyard_engine.management import Management
from tiltyard_engine.metrics import READY, engine_series
from tiltyard_engine.pipeline import Loaded
from tiltyard_engine.python.calls import PythonModel
from tiltyard_engine.python.state import Health

COMMON = {"name": "s", "inputs": (), "outputs": ()}
DRAWN = COMMON | {"salt": "s", "variants": ("a", "b")}
STEPS: dict[str, AnyPlanStep] = {
    "model": PlanModelStep.model_validate(COMMON | {"model": "a"}),
    "split": PlanSplit.model_validate(DRAWN),
    "interleave": PlanInterleave.model_validate(DRAWN | {"output": "items", "length": 3}),
}


@pytest.fixture
def models(tmp_path: Path) -> Iterator[dict[str, PythonModel]]:
    path = written(tmp_path / "model", DOUBLE)
    with closing(made(path, name="a")) as a, closing(made(path, name="b")) as b:
        yield {"a": a, "b": b}


def asked(folder: Path, step: AnyPlanStep, models: dict[str, PythonModel]) -> Response:
    plan = Plan(
        namespace="default",
        pipeline="p",
        models=tuple(one.model for one in models.values()),
        request=(),
        steps=(step,),
    )
    table = RoutingTable(plan=plan.hash, pipeline_uid="u", revision=1, steps={})
    series = engine_series([plan], watched=False, streams=[])
    counters = CounterFile(folder / "counters", Layout(series), 1)
    (block,) = counters.blocks
    block.words[block.offset(READY.metric)] = 1
    answers: list[Response] = []
    management = Management([Loaded(plan, table, models)], counters)
    management.handle(Request("GET", "/readyz", "", {}, b""), answers.append)
    return answers[0]


@pytest.mark.parametrize(
    ("kind", "down", "status"),
    [
        ("model", "a", 503),
        ("split", "a", 200),
        ("split", "ab", 503),
        ("interleave", "a", 503),
        ("interleave", "b", 503),
        ("interleave", "", 200),
    ],
)
def test_an_engine_is_ready_unless_a_step_can_answer_nobody(
    tmp_path: Path, models: dict[str, PythonModel], kind: str, down: str, status: int
) -> None:
    for name in down:
        models[name].state.write(Health.DOWN, 5, "ended with exit code 9")
    answer = asked(tmp_path, STEPS[kind], models)
    assert answer.status == status
    if status == 503:
        for name in down:
            assert f"model '{name}' keeps failing".encode() in answer.body
