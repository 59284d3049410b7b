"""Which routing tables fit a plan."""

import pytest

from makers import make_pipeline, make_resolved
from tiltyard_api.routing import RoutingTable, ShadowRouting, SplitRouting, StepRouting
from tiltyard_core.compile import compile_plan
from tiltyard_core.tables import misfit

STEPS = [
    {"name": "price", "split": {"variants": [{"model": m, "weight": 1} for m in ("a", "b")]}},
    {
        "name": "watch",
        "inputs": {"x": "request.x"},
        "shadow": {"champion": "a", "challengers": [{"model": "b"}]},
    },
    {"name": "convert", "inputs": {"x": "request.x"}, "model": "c"},
]
FITTING: dict[str, StepRouting] = {
    "price": SplitRouting(weights={"a": 1, "b": 0}),
    "watch": ShadowRouting(samples={"b": 0.5}),
}


def fault(changes: dict[str, StepRouting | None]) -> str | None:
    plan = compile_plan(make_pipeline(STEPS), dict.fromkeys("abc", make_resolved()))
    steps = {name: routing for name, routing in {**FITTING, **changes}.items() if routing}
    return misfit(plan, RoutingTable(plan=plan.hash, pipeline_uid="u", revision=1, steps=steps))


@pytest.mark.parametrize(
    "changes",
    [{}, {"price": SplitRouting(weights={"b": 2, "a": 0})}],
    ids=["the table of the manifest", "weights in another order"],
)
def test_a_table_for_every_routing_step_fits(changes: dict[str, StepRouting | None]) -> None:
    assert fault(changes) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"watch": None}, "its steps are price, the plan routes price, watch"),
        ({"convert": SplitRouting(weights={"c": 1})}, "its steps are price, watch, convert"),
        ({"price": ShadowRouting(samples={"b": 1})}, "step 'price' is routed as a shadow"),
        ({"price": SplitRouting(weights={"a": 1})}, "step 'price' names a, the plan has a, b"),
        ({"price": SplitRouting(weights={"a": 1, "z": 1})}, "step 'price' names a, z"),
        ({"price": SplitRouting(weights={"a": 2, "b": -1})}, "step 'price' has a share below 0"),
        ({"price": SplitRouting(weights={"a": 0, "b": 0})}, "all weights of step 'price' are 0"),
        ({"watch": ShadowRouting(samples={"b": 1.5})}, "step 'watch' samples more than all"),
        ({"watch": ShadowRouting(samples={"a": 1})}, "step 'watch' names a, the plan has b"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, StepRouting | None], words: str) -> None:
    assert (fault(changes) or "").startswith(words)
