"""Where a canary goes: every call of `decide` is what an operator or a laptop would do."""

import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from canaries import (
    HOLD,
    QUICK,
    START,
    STEPS,
    Canary,
    canary_pipeline,
    canary_plan,
    edited,
    make_wanted,
    request_counts,
)
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.stage import CanaryState
from tiltyard_core.canary import Seen, decide, described, routing, wanted
from tiltyard_core.guards import latch

PROMOTED = {"steps": [{"weight": 5}, {"weight": 50}, {"weight": 100}]}


def test_a_new_canary_begins_with_its_first_stage_which_is_put_in_force() -> None:
    canary = Canary(make_wanted())
    assert (canary.number, canary.share) == (1, 5)
    assert canary.outcome.reason == ConditionReason.RAMPING
    assert canary.outcome.message.endswith("is being put in force")


def test_a_ramp_goes_through_its_stages_and_is_complete() -> None:
    canary = Canary(make_wanted(guards=QUICK))
    shares = []
    for _ in range(3):
        shares.append(canary.share)
        assert canary.look().due == HOLD
        assert canary.look(HOLD - 1).due == 1
        canary.look(1)
    assert shares == [5, 25, 100]
    assert canary.outcome.reason == ConditionReason.COMPLETE
    assert canary.share == 100
    assert canary.outcome.due is None
    assert canary.look(10 * HOLD).reason == ConditionReason.COMPLETE


def test_stages_of_a_ramp_have_the_run_in_common_and_nothing_else() -> None:
    canary = Canary(make_wanted(guards=QUICK))
    ids = [canary.stage, canary.reach(2).stage, canary.reach(3).stage]
    runs = {one.rpartition("-")[0] for one in ids}
    assert [one.rpartition("-")[2] for one in ids] == ["1", "2", "3"]
    assert len(runs) == 1
    assert Canary(make_wanted(guards=QUICK), START + 1).stage not in ids


def test_a_hold_begins_when_every_engine_runs_the_stage() -> None:
    canary = Canary(make_wanted(guards=QUICK))
    canary.look(5 * HOLD, in_force=False)
    assert canary.number == 1
    canary.look(0)
    canary.look(HOLD - 1)
    assert canary.number == 1
    canary.look(1)
    assert canary.number == 2


def test_a_stage_does_not_end_while_an_engine_runs_another() -> None:
    canary = Canary(make_wanted(guards=QUICK)).reach(2)
    assert canary.look(2 * HOLD, in_force=False).reason == ConditionReason.RAMPING
    assert canary.number == 2
    canary.look()
    assert canary.number == 3


def test_whoever_was_away_goes_on_where_it_was_and_skips_no_hold() -> None:
    canary = Canary(make_wanted(guards=QUICK))
    canary.look()
    canary.look(100 * HOLD)
    assert canary.number == 2
    canary.look()
    canary.look(HOLD - 1)
    assert canary.number == 2
    canary.look(1)
    assert canary.number == 3


def test_dying_before_the_state_is_kept_changes_nothing() -> None:
    want = make_wanted(guards=QUICK)
    canary = Canary(want)
    canary.look()
    before = canary.state
    lost = decide(want, before, Seen(in_force=True), START + HOLD).state
    again = decide(want, before, Seen(in_force=True), START + HOLD + 3).state
    assert lost.stage.id == again.stage.id  # so that counts of engines that heard of it fit
    assert (lost.stage.number, again.stage.number) == (2, 2)


def test_a_candidate_without_traffic_is_neither_promoted_nor_rolled_back() -> None:
    canary = Canary(make_wanted(guards={"minUnits": 500}))
    canary.look()
    outcome = canary.look(HOLD, stable=(9_000, 0), candidate=(499, 0))
    assert outcome.reason == ConditionReason.INSUFFICIENT_DATA
    assert outcome.message.endswith("goes on: the candidate has had 499 of 500 units")
    assert canary.look(100 * HOLD).reason == ConditionReason.INSUFFICIENT_DATA
    assert canary.number == 1
    canary.look(stable=(9_000, 0), candidate=(500, 0))
    assert canary.number == 2


def test_a_weight_of_zero_waits_for_its_hold_only() -> None:
    ramp = {"steps": [{"weight": 0, "hold": "10m"}, {"weight": 5, "hold": "10m"}]}
    canary = Canary(make_wanted(ramp))
    assert canary.share == 0
    canary.look()
    canary.look(HOLD)
    assert canary.share == 5


def test_an_excess_that_is_not_ruled_out_keeps_the_stage() -> None:
    canary = Canary(make_wanted(guards={"errors": {"maxExcess": 0.02}, "minUnits": 100}))
    canary.look()
    outcome = canary.look(HOLD, stable=(1_900, 19), candidate=(100, 1))
    assert outcome.reason == ConditionReason.INSUFFICIENT_DATA
    assert "more of its units, 0.02 are put up with" in outcome.message
    canary.look(HOLD, stable=(190_000, 1_900), candidate=(10_000, 100))
    assert canary.number == 2


def test_a_stage_without_a_hold_waits_to_be_promoted() -> None:
    canary = Canary(make_wanted(PROMOTED))
    assert canary.look().reason == ConditionReason.AWAITING_PROMOTION
    assert canary.outcome.message.endswith(
        "waits to be promoted; so far the candidate has had 0 of 200 units"
    )
    canary.look(HOLD, stable=(9_500, 0), candidate=(500, 0))
    assert canary.outcome.message.endswith("waits to be promoted")
    assert canary.number == 1


def test_a_promotion_is_obeyed_once_and_for_its_stage_only() -> None:
    canary = Canary(make_wanted(PROMOTED))
    order = f"promote@{canary.stage}"
    assert canary.look(order="promote@another-1").reason == ConditionReason.AWAITING_PROMOTION
    assert canary.look(order=f"Promote@{canary.stage}").state.stage.number == 1
    canary.look(order=order)
    assert canary.number == 2
    for _ in range(5):
        canary.look(HOLD, order=order, stable=(1_000, 0), candidate=(1_000, 0))
    assert canary.number == 2


def test_a_promotion_moves_a_stage_on_before_its_time() -> None:
    canary = Canary(make_wanted())
    canary.look(order=f"promote@{canary.stage}", in_force=False)
    assert canary.number == 2


def test_the_last_stage_needs_no_promotion_since_there_is_no_other() -> None:
    canary = Canary(make_wanted(PROMOTED))
    for _ in range(2):
        canary.look(order=f"promote@{canary.stage}")
    assert canary.look().reason == ConditionReason.INSUFFICIENT_DATA
    assert canary.look(candidate=(200, 0)).reason == ConditionReason.COMPLETE
    again = Canary(make_wanted(PROMOTED))
    for _ in range(3):
        again.look(order=f"promote@{again.stage}")
    assert again.outcome.reason == ConditionReason.COMPLETE


@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_abort_takes_the_candidate_away_at_any_stage(number: int) -> None:
    canary = Canary(make_wanted(guards=QUICK)).reach(number)
    outcome = canary.look(order=f"abort@{canary.stage}")
    assert outcome.reason == ConditionReason.ROLLED_BACK
    assert canary.share == 0
    assert outcome.state.latched
    assert outcome.state.latched.by == "user"
    assert "change the canary to try again" in outcome.message


def test_a_complete_canary_can_still_be_aborted() -> None:
    canary = Canary(make_wanted(guards=QUICK)).reach(3)
    assert canary.look(HOLD).reason == ConditionReason.COMPLETE
    assert canary.look(order=f"abort@{canary.stage}").reason == ConditionReason.ROLLED_BACK


def test_a_bad_candidate_is_rolled_back_and_stays_so() -> None:
    canary = Canary(make_wanted()).reach(2)
    outcome = canary.look(stable=(750, 0), candidate=(250, 100))
    assert outcome.reason == ConditionReason.ROLLED_BACK
    assert outcome.evidence[0].candidate == 100
    assert outcome.message.startswith(f"rolled back in stage {canary.stage}: 100 of 100 failed")
    for order in ("", f"promote@{canary.stage}"):
        later = canary.look(100 * HOLD, order=order, stable=(9 * 10**6, 0), candidate=(10**6, 0))
        assert later.reason == ConditionReason.ROLLED_BACK
        assert later.state == outcome.state
        assert canary.share == 0


def test_what_an_engine_did_by_itself_holds_for_the_pipeline() -> None:
    canary = Canary(make_wanted(guards=QUICK)).reach(2)
    run = canary.stage.rpartition("-")[0]
    engine = latch(f"{run}-1", "engine", "row", "20 units in a row failed", START)
    other = latch("another-2", "engine", "row", "20 units in a row failed", START)
    assert canary.look(latches=(other,)).reason == ConditionReason.RAMPING
    outcome = canary.look(latches=(other, engine), in_force=False)
    assert outcome.state.latched == engine
    assert outcome.reason == ConditionReason.ROLLED_BACK


def test_units_that_do_not_divide_freeze_a_stage_and_are_not_judged() -> None:
    canary = Canary(make_wanted()).reach(2)
    outcome = canary.look(HOLD, stable=(5_000, 0), candidate=(5_000, 300))
    assert outcome.reason == ConditionReason.FROZEN
    assert "(50.00 %) at a weight of 25 %" in outcome.message
    assert routing(canary.want, outcome.state).frozen
    after = canary.look(HOLD, stable=(7_500, 0), candidate=(2_500, 200))
    assert after.reason == ConditionReason.FROZEN
    assert canary.number == 2
    assert canary.look(order=f"promote@{canary.stage}").reason == ConditionReason.RAMPING
    assert canary.number == 3


def test_a_frozen_stage_still_stops_a_candidate_that_does_nothing_but_fail() -> None:
    canary = Canary(make_wanted()).reach(2)
    canary.look(stable=(5_000, 0), candidate=(5_000, 0))
    assert canary.look(stable=(9, 0), candidate=(30, 30)).reason == ConditionReason.ROLLED_BACK


def test_counts_of_another_stage_are_not_judged() -> None:
    canary = Canary(make_wanted()).reach(2)
    counts = request_counts("another-2", (750, 0), (250, 250))
    assert canary.state
    outcome = decide(canary.want, canary.state, Seen(counts=counts, in_force=True), canary.now)
    assert outcome.reason == ConditionReason.RAMPING
    assert outcome.evidence == ()


@pytest.mark.parametrize("back", [1.0, HOLD, 1000 * HOLD])
def test_a_clock_that_is_set_back_lets_no_stage_end_too_soon(back: float) -> None:
    canary = Canary(make_wanted(guards=QUICK))
    canary.look()
    canary.look(-back)
    canary.look(HOLD - 1)
    assert canary.number == 1
    canary.look(1)
    assert canary.number == 2  # and never is it stuck for longer than a hold


def test_no_clock_and_no_death_lets_a_ramp_skip_or_fall() -> None:
    chance = random.Random(5)
    for _ in range(50):
        canary = Canary(make_wanted(guards=QUICK))
        stages = [canary.number]
        for _ in range(60):
            canary.look(
                chance.choice([1, HOLD / 2, HOLD, -HOLD, -1]), in_force=chance.random() < 0.8
            )
            stages.append(canary.number)
        assert all(after - before in (0, 1) for before, after in pairwise(stages))


def test_a_described_canary_is_decided_like_a_wanted_one() -> None:
    pipeline = canary_pipeline(STEPS)
    (step,) = pipeline.spec.steps
    assert step.canary
    mine = described(step.canary, pipeline.spec.deployment)
    theirs = wanted(pipeline, "swap", canary_plan(pipeline))
    assert (mine.heights, mine.guards, mine.one_engine) == (
        theirs.heights,
        theirs.guards,
        theirs.one_engine,
    )


def states() -> Iterator[CanaryState]:
    canary = Canary(edited())
    for _ in range(3):
        canary.look()
        canary.look(HOLD)
        assert canary.state
        yield canary.state
    canary.look(order=f"abort@{canary.stage}")
    assert canary.state
    yield canary.state


def test_a_second_look_at_the_same_changes_nothing() -> None:
    want = edited()
    for state in states():
        seen = Seen(in_force=True)
        once = decide(want, state, seen, START + 100 * HOLD).state
        if once.stage.number == state.stage.number:
            assert decide(want, once, seen, START + 100 * HOLD).state == once
