"""Which routing tables fit a plan."""

import pytest

from makers import make_pipeline, make_resolved
from tiltyard_api.routing import (
    CanaryRouting,
    GuardRouting,
    RoutingTable,
    ShadowRouting,
    SplitRouting,
    StepRouting,
)
from tiltyard_api.v1alpha1.stage import Guard
from tiltyard_core.compile import compile_plan
from tiltyard_core.tables import misfit

STEPS = [
    {"name": "price", "split": {"variants": [{"model": m, "weight": 1} for m in ("a", "b")]}},
    {
        "name": "watch",
        "inputs": {"x": "request.x"},
        "shadow": {"champion": "a", "challengers": [{"model": "b"}]},
    },
    {
        "name": "swap",
        "inputs": {"x": "request.x"},
        "canary": {"stable": "a", "candidate": "b", "ramp": {"linear": {"duration": "1h"}}},
    },
    {"name": "convert", "inputs": {"x": "request.x"}, "model": "c"},
]
MARGINS = {Guard.ERRORS: 0.5, Guard.INVALID: 0.5}


def canary(margins: dict[Guard, float], slow: float | None = None) -> CanaryRouting:
    guards = GuardRouting(alpha=0.01, margins=margins, slow=slow)
    return CanaryRouting(run="r", stage=1, weight=5, guards=guards)


FITTING: dict[str, StepRouting] = {
    "price": SplitRouting(weights={"a": 1, "b": 0}),
    "watch": ShadowRouting(samples={"b": 0.5}),
    "swap": canary(MARGINS),
}


def fault(changes: dict[str, StepRouting | None]) -> str | None:
    plan = compile_plan(make_pipeline(STEPS), dict.fromkeys("abc", make_resolved()))
    steps = {name: routing for name, routing in {**FITTING, **changes}.items() if routing}
    return misfit(plan, RoutingTable(plan=plan.hash, pipeline_uid="u", revision=1, steps=steps))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"price": SplitRouting(weights={"b": 2, "a": 0})},
        {"swap": canary(MARGINS | {Guard.LATENCY: 0}, slow=0.1)},
    ],
    ids=["the table of the manifest", "weights in another order", "another guard"],
)
def test_a_table_for_every_routing_step_fits(changes: dict[str, StepRouting | None]) -> None:
    assert fault(changes) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"watch": None}, "its steps are price, swap, the plan routes price, w"),
        ({"convert": SplitRouting(weights={"c": 1})}, "its steps are price, watch, swap, convert"),
        ({"price": ShadowRouting(samples={"b": 1})}, "step 'price' is routed as a shadow"),
        ({"price": SplitRouting(weights={"a": 1})}, "step 'price' names a, the plan has a, b"),
        ({"price": SplitRouting(weights={"a": 1, "z": 1})}, "step 'price' names a, z"),
        ({"price": SplitRouting(weights={"a": 2, "b": -1})}, "step 'price' has a share below 0"),
        ({"price": SplitRouting(weights={"a": 0, "b": 0})}, "all weights of step 'price' are 0"),
        ({"watch": ShadowRouting(samples={"b": 1.5})}, "step 'watch' samples more than all"),
        ({"swap": SplitRouting(weights={"a": 1, "b": 1})}, "step 'swap' is routed as a split"),
        ({"price": canary(MARGINS)}, "step 'price' is routed as a canary"),
        (
            {"swap": canary({Guard.ERRORS: 0.5})},
            "the canary of step 'swap' is not guarded against errors and invalid outputs",
        ),
        (
            {"swap": canary(MARGINS | {Guard.LATENCY: 0.5})},
            "the canary of step 'swap' does not say which answers are slow",
        ),
        (
            {"swap": canary(MARGINS, slow=0.1)},
            "the canary of step 'swap' does not say which answers are slow",
        ),
        (
            {"swap": canary(MARGINS | {Guard.ERRORS: -1})},
            "the canary of step 'swap' has a margin below 0",
        ),
        ({"watch": ShadowRouting(samples={"a": 1})}, "step 'watch' names a, the plan has b"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, StepRouting | None], words: str) -> None:
    assert (fault(changes) or "").startswith(words)
