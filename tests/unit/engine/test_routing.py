from collections.abc import Iterator

import pytest

import graphs
from planes import Plane, opened, shadow, split
from tiltyard_api.routing import RoutingTable, ShadowRouting, SplitRouting
from tiltyard_engine.tables import RoutingRefused

HALVES = SplitRouting(weights={"a": 1, "b": 1})
SAMPLE = ShadowRouting(samples={"b": 1})


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    models = {"a": graphs.scaled(1), "b": graphs.scaled(2)}
    steps = [split("a", "b", field="k"), {**shadow("a", "b"), "inputs": {"x": "request.x"}}]
    with opened(tmp_path_factory.mktemp("routed"), models, steps) as made:
        yield made


def steps_of(price: object = HALVES, watch: object = SAMPLE, **more: object) -> object:
    named = {"price": price, "watch": watch, **more}
    return {name: step for name, step in named.items() if step is not None}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"plan": "0" * 64}, "OtherPlan"),
        ({"pipeline_uid": "someone else"}, "OtherPipeline"),
        ({"revision": 0}, "OlderRevision"),
        ({"steps": steps_of(SplitRouting(weights={"a": 1}))}, "UnknownVariant"),
        ({"steps": steps_of(SplitRouting(weights={"a": 1, "b": 1, "z": 1}))}, "UnknownVariant"),
        ({"steps": steps_of(SplitRouting(weights={"a": 1, "z": 1}))}, "UnknownVariant"),
        ({"steps": steps_of(SplitRouting(weights={"a": 0, "b": 0}))}, "UnknownVariant"),
        ({"steps": steps_of(SplitRouting(weights={"a": 2, "b": -1}))}, "UnknownVariant"),
        ({"steps": steps_of(SplitRouting(weights={}))}, "UnknownVariant"),
        ({"steps": steps_of(None)}, "UnknownVariant"),
        ({"steps": steps_of(SAMPLE)}, "UnknownVariant"),
        ({"steps": steps_of(more=HALVES)}, "UnknownVariant"),
        ({"steps": steps_of(watch=HALVES)}, "UnknownVariant"),
        ({"steps": steps_of(watch=ShadowRouting(samples={}))}, "UnknownVariant"),
        ({"steps": steps_of(watch=ShadowRouting(samples={"z": 1}))}, "UnknownVariant"),
        ({"steps": steps_of(watch=ShadowRouting(samples={"b": 1.5}))}, "UnknownVariant"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_counted_and_changes_nothing(
    plane: Plane, changes: dict[str, object], reason: str
) -> None:
    inner = plane.served.plane
    in_force, shares = inner.routing, inner.shares()
    rows = [{"x": 1, "k": f"u{n}"} for n in range(40)]
    before = plane.ask(rows).out()
    counted = plane.count("tiltyard_routing_refused_total", reason)
    with pytest.raises(RoutingRefused) as caught:
        plane.served.route(plane.table_with(**changes))
    assert caught.value.reason == reason
    assert plane.count("tiltyard_routing_refused_total", reason) == counted + 1
    assert (inner.routing, inner.shares()) == (in_force, shares)
    assert plane.ask(rows).out() == before
    assert plane.count("tiltyard_routing_revision") == in_force.revision


def test_a_newer_table_takes_effect_for_the_next_request_and_is_told(plane: Plane) -> None:
    for first, second in ((1, 0), (0, 1), (3, 1), (1, 1)):
        weights = SplitRouting(weights={"a": first, "b": second})
        table = plane.table_with(steps=steps_of(weights))
        plane.served.route(table)
        assert plane.count("tiltyard_routing_revision") == table.revision
        share = plane.count("tiltyard_variant_weight", "price", "a") / 10**9
        assert share == first / (first + second)
        if 0 in (first, second):
            served = plane.ask([{"x": 1, "k": f"u{n}"} for n in range(20)])
            variant = "a" if first else "b"
            assert served.headers["X-Tiltyard-Variant"] == f"price={variant},watch=a"


def test_the_table_in_force_may_be_put_in_force_again(plane: Plane) -> None:
    plane.served.route(plane.served.plane.routing)


@pytest.mark.parametrize("damage", [(b'"a":1.0', b'"a":2.0'), (b'"revision":1', b'"revision":9')])
def test_a_damaged_table_is_not_even_read(plane: Plane, damage: tuple[bytes, bytes]) -> None:
    text = plane.table.model_dump_json(by_alias=True).encode()
    damaged = text.replace(*damage)
    assert damaged != text
    with pytest.raises(ValueError, match="hash does not match"):
        RoutingTable.model_validate_json(damaged)
