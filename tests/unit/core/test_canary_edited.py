"""What becomes of a canary that its user changes while it goes on."""

import pytest

from canaries import HOLD, QUICK, Canary, edited, make_wanted
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_core.canary import Wanted


@pytest.mark.parametrize(
    ("weights", "number", "share"),
    [
        ([5, 25, 50, 100], 2, 25),
        ([10, 30, 100], 2, 30),
        ([25], 1, 25),
        ([1, 2, 3], 3, 3),
    ],
)
def test_an_edited_ramp_goes_on_from_where_it_was(
    weights: list[float], number: int, share: float
) -> None:
    canary = Canary(edited()).reach(2)
    before = canary.stage
    canary.want = edited({"steps": [{"weight": one, "hold": "10m"} for one in weights]})
    canary.look()
    assert (canary.number, canary.share) == (number, share)
    assert canary.stage.rpartition("-")[0] != before.rpartition("-")[0]
    canary.look()
    assert canary.look(HOLD - 1).due == 1  # the hold is a whole one


def test_other_guards_are_a_new_stage_of_the_same_weight() -> None:
    canary = Canary(edited()).reach(2)
    canary.want = edited(errors={"margin": 2})
    assert canary.look().state.stage.weight == 25


@pytest.mark.parametrize(
    "changed",
    [
        make_wanted(guards=QUICK, seeds={"b": "other bytes"}),
        make_wanted(guards=QUICK, seeds={"a": "other bytes"}),
        make_wanted(guards=QUICK, candidate="c"),
        make_wanted(guards=QUICK, hashKey={"field": "user"}),
        make_wanted(guards=QUICK, hashKey={"header": "x-user", "salt": "s"}),
    ],
    ids=["candidate's bytes", "stable's bytes", "candidate", "key", "salt"],
)
def test_another_pair_begins_anew(changed: Wanted) -> None:
    canary = Canary(edited()).reach(3)
    canary.want = changed
    assert canary.look().state.stage.number == 1


def test_what_is_not_the_canarys_changes_nothing() -> None:
    canary = Canary(edited()).reach(2)
    before = canary.stage
    canary.want = make_wanted(guards=QUICK, deployment={"replicas": 9, "cpus": 2})
    canary.look()
    assert canary.stage == before


def test_a_canary_that_was_rolled_back_is_tried_again_when_it_changes_and_not_before() -> None:
    canary = Canary(edited()).reach(2)
    canary.look(order=f"abort@{canary.stage}")
    canary.want = make_wanted(guards=QUICK, deployment={"replicas": 9})
    assert canary.look().reason == ConditionReason.ROLLED_BACK
    canary.want = edited(errors={"margin": 2})
    assert canary.look().reason == ConditionReason.RAMPING
    assert canary.number == 1


@pytest.mark.parametrize("at", range(1, 12))
def test_there_and_back_ends_where_staying_ends(at: int) -> None:
    first, second = edited(), make_wanted(guards=QUICK, candidate="c")
    canary = Canary(first)
    for step in range(40):
        canary.want = second if step == at else first
        if canary.want is second and at > 8:
            canary.look(order=f"abort@{canary.stage}")
        canary.look()
        canary.look(HOLD)
    assert canary.outcome.reason == ConditionReason.COMPLETE
    assert canary.share == 100
    assert canary.state
    assert canary.state.stage.revision == first.revision
