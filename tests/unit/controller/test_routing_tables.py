"""Which weights each live plan gets, and with which revision."""

from collections.abc import Iterable, Sequence

import pytest

from makers import Document, make_document, make_resolved
from sights import UID
from tiltyard_api.manifest import read_pipeline
from tiltyard_api.plan import Plan
from tiltyard_api.routing import RoutingTable, SplitRouting
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_plan
from tiltyard_core.tables import misfit
from tiltyard_operator.observed import Answer
from tiltyard_operator.tables import Said, tables

WEIGHTS = "spec.steps[0].split.variants"
RESOLVED = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}


def said_weights(a: float, b: float) -> list[Document]:
    return [{"model": "a", "weight": a}, {"model": "b", "weight": b}]


def said(a: float, b: float, name: str = "price") -> Pipeline:
    changes = {WEIGHTS: said_weights(a, b), "spec.steps[0].name": name}
    return read_pipeline(make_document(changes))


OLD, NEW = said(2, 1), said(2, 1, name="other")
PLAN = compile_plan(OLD, RESOLVED)
OTHER = compile_plan(NEW, RESOLVED)


def made(
    today: Pipeline | None,
    there: Sequence[RoutingTable] = (),
    plans: Iterable[Plan] = (PLAN,),
    before: Sequence[Pipeline] = (),
    pods: Sequence[Answer] = (),
) -> tuple[RoutingTable, ...]:
    by_hash = {plan.hash: plan for plan in plans}
    return tables(by_hash, Said(today, lambda: before), UID, there, pods)


def weights(table: RoutingTable, step: str = "price") -> dict[str, float]:
    found = table.steps[step]
    assert isinstance(found, SplitRouting)
    return found.weights


def test_the_first_table_is_revision_one_and_carries_its_hash() -> None:
    (table,) = made(OLD)
    assert (table.revision, weights(table)) == (1, {"a": 2, "b": 1})
    assert table.hash == table.computed_hash()
    assert misfit(PLAN, table) is None


def test_a_table_that_stays_the_same_keeps_its_revision() -> None:
    there = made(OLD)
    assert made(OLD, there) == there


def test_new_weights_get_a_revision_above_all() -> None:
    there = (*made(OLD), *made(NEW, plans=[OTHER]))
    (table,) = made(said(1, 1), there)
    assert (table.revision, weights(table)) == (2, {"a": 1, "b": 1})


def test_new_weights_reach_what_serves_while_another_plan_rolls() -> None:
    there = made(OLD)
    today = read_pipeline(make_document({"spec.models[0].threads": 2, WEIGHTS: said_weights(0, 5)}))
    serving, rolling = made(today, there, plans=[PLAN, compile_plan(today, RESOLVED)])
    assert serving.plan != rolling.plan
    assert weights(serving) == weights(rolling) == {"a": 0, "b": 5}


def test_a_step_that_is_another_now_keeps_its_weights_in_the_old_plan() -> None:
    there = made(OLD)
    old, new = made(NEW, there, plans=[PLAN, OTHER])
    assert old == there[0]
    assert weights(new, "other") == {"a": 2, "b": 1}


def test_a_pod_that_is_ahead_is_overtaken() -> None:
    there = made(OLD)
    ahead = Answer(plan=PLAN.hash, revision=41, hash="of a backup's future")
    (table,) = made(OLD, there, pods=[ahead])
    assert (table.revision, weights(table)) == (42, weights(there[0]))
    assert made(OLD, (table,), pods=[ahead]) == (table,)


def test_the_pod_that_is_furthest_ahead_is_overtaken() -> None:
    pods = [Answer(plan=PLAN.hash, revision=number, hash="other") for number in (9, 41, 3)]
    (table,) = made(OLD, made(OLD), pods=pods)
    assert table.revision == 42


def test_a_spec_that_makes_no_sense_leaves_the_weights_as_they_are() -> None:
    there = made(said(1, 3))
    assert made(None, there, before=[OLD]) == there


def test_a_lost_table_is_made_of_the_newest_spec_that_fits() -> None:
    (table,) = made(None, before=[NEW, said(4, 4), OLD])
    assert weights(table) == {"a": 4, "b": 4}


def test_a_plan_that_nothing_fits_has_no_table() -> None:
    assert made(NEW, plans=[PLAN]) == ()


@pytest.mark.parametrize("uid", ["another", ""])
def test_a_table_of_another_pipeline_is_no_table(uid: str) -> None:
    (foreign,) = tables({PLAN.hash: PLAN}, Said(said(9, 9), lambda: ()), uid, (), ())
    (table,) = made(None, [foreign], before=[OLD])
    assert (table.pipeline_uid, table.revision, weights(table)) == (UID, 2, {"a": 2, "b": 1})
