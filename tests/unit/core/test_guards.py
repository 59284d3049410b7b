"""What counts say of a candidate."""

import random

import pytest

from canaries import key_counts, make_wanted, request_counts
from makers import Document
from tiltyard_api.evidence import CanaryCounts, Units
from tiltyard_api.routing import CanaryRouting
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_api.v1alpha1.stage import Guard
from tiltyard_core.canary import Seen, Wanted, decide, routing
from tiltyard_core.guards import (
    Row,
    against,
    all_failed,
    engine_latch,
    error_share,
    excess,
    judge,
    most_engines,
    ratio_faults,
    row_failed,
    units_of,
)
from tiltyard_core.units import sampled

TEN = {"linear": {"duration": "1h"}}


def table(want: Wanted, weight: float, **fields: object) -> CanaryRouting:
    return CanaryRouting(run="r", stage=1, weight=weight, guards=want.one_engine).model_copy(
        update=fields
    )


@pytest.mark.parametrize(
    ("deployment", "engines"),
    [
        ({}, 1),
        ({"replicas": 0}, 1),
        ({"replicas": 7}, 7),
        ({"autoscaling": {"min": 2, "max": 40}}, 40),
    ],
)
def test_alpha_is_divided_over_the_operator_engines_guards_and_stages(
    deployment: Document, engines: int
) -> None:
    assert most_engines(Deployment.model_validate(deployment)) == engines
    latency = {"latency": {"above": "50ms"}}
    for guards, on in (({"alpha": 0.06}, 2), ({"alpha": 0.06, **latency}, 3)):
        want = make_wanted(TEN, guards, deployment)
        assert want.all_engines.alpha == pytest.approx(0.03 / on / 10)
        assert want.one_engine.alpha == pytest.approx(0.03 / on / 10 / engines)
        both = want.all_engines.alpha + engines * want.one_engine.alpha
        assert both * on * 10 == pytest.approx(0.06)


def test_guards_that_are_on_are_routed_with_their_margins() -> None:
    guards = {
        "errors": {"margin": 0.1},
        "latency": {"above": "50ms", "margin": 1},
        "invalid": {"margin": 0},
    }
    found = make_wanted(guards=guards).one_engine
    assert found.margins == {Guard.ERRORS: 0.1, Guard.INVALID: 0, Guard.LATENCY: 1}
    assert found.slow == 0.05
    assert make_wanted().one_engine.slow is None


@pytest.mark.parametrize("guard", Guard)
def test_every_guard_looks_at_its_own_units(guard: Guard) -> None:
    want = make_wanted(guards={"latency": {"above": "1s"}})
    counts = request_counts(stable=(950, 0), candidate=(50, 0))
    bad = counts.candidate.model_copy(update={guard.value: Units(count=15)})
    evidence = judge(counts.model_copy(update={"candidate": bad}), 5, want.all_engines)
    found = against(evidence, 5, want.all_engines)
    assert found
    assert (found.guard, found.candidate, found.both) == (guard, 15, 15)
    assert against(judge(counts, 5, want.all_engines), 5, want.all_engines) is None


def test_a_candidate_that_is_better_is_never_rolled_back_for_it() -> None:
    want = make_wanted()
    counts = request_counts(stable=(10_000, 900), candidate=(10_000, 10))
    errors, *_ = judge(counts, 50, want.all_engines)
    assert errors.log_evidence > errors.limit
    assert against([errors], 50, want.all_engines) is None


@pytest.mark.parametrize("weight", [0, 100])
def test_relative_guards_pause_where_there_is_nothing_to_compare_with(weight: float) -> None:
    want = make_wanted()
    counts = request_counts(candidate=(1000, 500))
    evidence = judge(counts, weight, want.all_engines)
    assert [one.paused for one in evidence] == [True, True]
    assert against(evidence, weight, want.all_engines) is None


@pytest.mark.parametrize("engines", [1, 3, 100, 1000])
@pytest.mark.parametrize(("weight", "most"), [(50, 40), (5, 12)])
def test_a_candidate_that_always_fails_is_off_soon(weight: float, most: int, engines: int) -> None:
    want = make_wanted(TEN, deployment={"replicas": engines})
    per_unit = (100 - weight) / weight
    for units in range(1, most + 1):
        counts = request_counts(stable=(int(units * per_unit), 0), candidate=(units, units))
        row = Row(failed=units, stable=int(units * per_unit))
        if engine_latch(counts, [row], table(want, weight), 0):
            return
    pytest.fail(f"still on after {most} units")


@pytest.mark.parametrize(("weight", "most"), [(50, 40), (5, 12)])
def test_it_is_off_as_soon_beside_a_stable_model_that_fails_now_and_then(
    weight: float, most: int
) -> None:
    chance, want = random.Random(9), make_wanted(TEN, deployment={"replicas": 3})
    for _ in range(100):
        mine, stable, stable_bad = 0, 0, 0
        while mine < most:
            if chance.random() < weight / 100:
                mine += 1
                counts = request_counts(stable=(stable, stable_bad), candidate=(mine, mine))
                if engine_latch(counts, [Row(mine, stable, stable_bad)], table(want, weight), 0):
                    break
            else:
                stable += 1
                stable_bad += chance.random() < 0.01
        else:
            pytest.fail(f"still on after {most} units")


@pytest.mark.parametrize(("weight", "most"), [(50, 40), (5, 12)])
def test_the_counts_of_all_engines_stop_such_a_candidate_too(weight: float, most: int) -> None:
    want = make_wanted({"steps": [{"weight": weight, "hold": "1h"}] * 10})
    state = decide(want, None, Seen(), 0).state
    for units in range(1, most + 1):
        stable = int(units * (100 - weight) / weight), 0
        counts = request_counts(state.stage.id, stable, candidate=(units, units))
        state = decide(want, state, Seen(counts=counts, in_force=True), units).state
    assert state.latched
    assert state.latched.by == "operator"


@pytest.mark.parametrize(
    ("row", "hopeless"),
    [
        (Row(failed=19, stable=100), False),
        (Row(failed=20, stable=100), True),
        (Row(failed=20), True),
        (Row(failed=20, stable=100, stable_failed=10), True),
        (Row(failed=20, stable=100, stable_failed=11), False),
        (Row(failed=500, stable=9, stable_failed=9), False),
    ],
)
def test_a_row_of_failures_stops_a_candidate_unless_everything_fails(
    row: Row, *, hopeless: bool
) -> None:
    assert row_failed(row) is hopeless


@pytest.mark.parametrize(
    ("stable", "candidate", "stops"),
    [
        ((0, 0), (19, 19), False),
        ((0, 0), (20, 20), True),
        ((0, 0), (21, 20), False),
        ((400, 40), (20, 20), True),
        ((400, 41), (20, 20), False),
    ],
)
def test_failing_in_all_that_it_got_stops_a_candidate(
    stable: tuple[int, int], candidate: tuple[int, int], *, stops: bool
) -> None:
    assert all_failed(request_counts(stable=stable, candidate=candidate)) is stops


@pytest.mark.parametrize("weight", [0, 5, 100])
def test_a_row_latches_at_every_weight_frozen_or_not(weight: float) -> None:
    want = make_wanted()
    for frozen in (False, True):
        found = engine_latch(
            request_counts(), [Row(3), Row(20)], table(want, weight, frozen=frozen), 1.5
        )
        assert found
        assert (found.by, found.guard, found.stage) == ("engine", "row", "r-1")
        assert found.message == "20 units in a row failed"
        assert found.at.timestamp() == 1.5


def test_an_engine_does_not_compare_what_is_frozen_or_of_another_stage() -> None:
    want = make_wanted()
    counts = request_counts(stable=(950, 0), candidate=(50, 30))
    latch = engine_latch(counts, [], table(want, 5), 0)
    assert latch
    assert latch.message == (
        "30 of 30 failed units are the candidate's: log evidence "
        f"{judge(counts, 5, want.one_engine)[0].log_evidence:.1f}, limit 7.1"
    )
    assert engine_latch(counts, [], table(want, 5, frozen=True), 0) is None
    assert engine_latch(counts, [Row(20)], table(want, 5, stage=2), 0) is None


@pytest.mark.parametrize(
    ("weight", "stable", "candidate", "fault"),
    [
        (5, 9500, 500, False),
        (5, 9200, 800, True),
        (5, 9800, 200, True),
        (50, 20, 20, False),
        (0, 10, 1000, False),
        (100, 1000, 10, False),
    ],
)
def test_units_that_do_not_divide_as_they_should_are_noticed(
    weight: float, stable: int, candidate: int, *, fault: bool
) -> None:
    counts = request_counts(stable=(stable, 0), candidate=(candidate, 0))
    assert bool(list(ratio_faults(counts, weight, 3))) is fault


def test_the_message_names_what_was_found_and_what_should_be() -> None:
    counts = request_counts(stable=(9200, 0), candidate=(800, 0))
    assert list(ratio_faults(counts, 5, 3)) == [
        "the candidate has 800 of 10000 units (8.00 %) at a weight of 5 %: this is not chance"
    ]


def test_the_excess_is_bounded_from_above_and_closes_in() -> None:
    few = request_counts(stable=(900, 9), candidate=(100, 1))
    many = request_counts(stable=(90_000, 900), candidate=(10_000, 100))
    assert 0.02 < excess(few) < 0.3
    assert 0 < excess(many) < 0.01
    assert excess(request_counts()) == 1
    saturated = many.model_copy(update={"saturated": (Guard.ERRORS,)})
    assert excess(saturated) == 1


def sample(level: int, units: range) -> list[int]:
    return [draw for draw in units if sampled(draw, level)]


def test_a_sample_stands_for_all_units_and_its_errors_for_theirs() -> None:
    counts: CanaryCounts = key_counts(
        stable=sample(3, range(24_000)),
        candidate=sample(3, range(10**6, 10**6 + 4_000)),
        candidate_bad=range(10**6, 10**6 + 400),
        level=3,
    )
    assert units_of(counts.candidate, counts) == pytest.approx(4_000, rel=0.15)
    assert error_share(counts.candidate, counts) == pytest.approx(0.1, rel=0.3)
    assert error_share(counts.stable, counts) == 0
    assert error_share(key_counts().stable, key_counts()) is None
    assert not all_failed(counts)


def test_a_stage_is_routed_with_what_one_engine_may_spend() -> None:
    want = make_wanted(deployment={"replicas": 4})
    state = decide(want, None, Seen(), 0).state
    found = routing(want, state)
    assert found.stage_id == state.stage.id
    assert (found.weight, found.latched, found.frozen) == (5, False, False)
    assert found.guards == want.one_engine
