"""A canary from its first look to its end, with an operator that may die at any time."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from ramps import STEPS, Ramp, canary
from tiltyard_api.v1alpha1.conditions import ConditionReason, EventReason
from tiltyard_api.v1alpha1.stage import Latch


def begun(ramp: Ramp) -> Ramp:
    """The first stage is in force everywhere."""
    ramp.look()
    ramp.look(1)
    assert ramp.step.stage
    assert ramp.step.stage.since
    return ramp


def serve(ramp: Ramp, candidate: int = 30, errors: int = 0) -> None:
    """Every pod serves so many units by the candidate, and as many by the other as is its share."""
    weight = ramp.routing.weight
    for pod in ramp.counts:
        ramp.count(pod, candidate, errors, stable=round(candidate * (100 - weight) / weight))


def stop_by_itself(ramp: Ramp) -> str:
    """One engine takes the candidate out of the way; gives its pod."""
    first = next(iter(ramp.counts))
    ramp.latches[first] = Latch(
        at=datetime.fromtimestamp(ramp.now, UTC),
        stage=ramp.routing.stage_id,
        by="engine",
        guard="row",
        message="20 units in a row failed",
    )
    return first


def healthy(ramp: Ramp) -> tuple[str, str]:
    found = ramp.says("CanaryHealthy")
    return found.status, found.reason


def ready(ramp: Ramp) -> tuple[str, str]:
    found = ramp.says("Ready")
    return found.status, found.reason


def told(ramp: Ramp, reason: EventReason) -> int:
    return sum(one.reason is reason for one in ramp.told)


def test_a_ramp_begins_with_its_first_stage_and_is_told() -> None:
    ramp = Ramp()
    ramp.look()
    assert (ramp.routing.stage, ramp.routing.weight, ramp.routing.latched) == (1, 10, False)
    assert ramp.step.stage
    assert ramp.step.stage.id == ramp.routing.stage_id
    assert told(ramp, EventReason.STAGE_ENTERED) == 1
    assert healthy(ramp) == ("True", "Ramping")


def test_a_good_candidate_goes_on_when_hold_units_and_people_say_so() -> None:
    ramp = begun(Ramp())
    ramp.look(59)
    assert ramp.routing.stage == 1
    ramp.look(2)
    assert ramp.routing.stage == 1
    assert healthy(ramp) == ("Unknown", "InsufficientData")
    serve(ramp)
    ramp.look(2)
    assert (ramp.routing.stage, ramp.routing.weight) == (2, 50)
    assert ready(ramp) == ("True", "Serving")
    ramp.look(1)
    serve(ramp)
    ramp.look(1000)
    assert ramp.routing.stage == 2
    assert healthy(ramp) == ("True", "AwaitingPromotion")
    assert ready(ramp) == ("True", "Serving")
    ramp.order(f"promote@{ramp.routing.stage_id}")
    ramp.look(2)
    assert ramp.routing.weight == 100
    ramp.look(1)
    serve(ramp)
    ramp.look(61)
    assert healthy(ramp) == ("True", "Complete")
    assert told(ramp, EventReason.STAGE_ENTERED) == 3
    assert told(ramp, EventReason.CANARY_COMPLETE) == 1
    assert ramp.again == 60


def test_a_word_for_another_stage_is_not_obeyed() -> None:
    ramp = begun(Ramp())
    first = ramp.routing.stage_id
    ramp.order(f"promote@{first}")
    ramp.look(2)
    assert ramp.routing.stage == 2
    for _ in range(5):
        ramp.look(2)
    assert ramp.routing.stage == 2
    ramp.order(f"abort@{first}")
    ramp.look(2)
    assert not ramp.routing.latched


def test_a_stage_that_moves_makes_nothing_less_ready() -> None:
    ramp = begun(Ramp())
    serve(ramp)
    ramp.look(61)
    assert ramp.routing.stage == 2
    assert ready(ramp) == ("True", "Serving")
    assert ramp.says("RoutingSynced").status == "False"
    ramp.look(1)
    assert ramp.says("RoutingSynced").status == "True"


def test_a_bad_candidate_is_rolled_back_by_the_counts_of_all_pods() -> None:
    ramp = begun(Ramp())
    serve(ramp, candidate=60, errors=30)
    ramp.look(2)
    assert ramp.routing.latched
    assert ramp.step.latched
    assert (ramp.step.latched.by, ramp.step.latched.guard) == ("operator", "errors")
    assert [one.effective for one in ramp.step.variants or ()] == [1, 0]
    assert healthy(ramp) == ("False", "RolledBack")
    assert ready(ramp) == ("False", "RolledBack")
    assert (ramp.says("Stalled").reason, ramp.says("Available").status) == ("RolledBack", "True")
    assert told(ramp, EventReason.ROLLED_BACK) == 1
    assert "log evidence" in ramp.says("Ready").message


def test_what_was_rolled_back_stays_so_until_its_spec_changes() -> None:
    ramp = begun(Ramp())
    serve(ramp, candidate=60, errors=30)
    ramp.look(2)
    before = ramp.routing
    for _ in range(3):
        ramp.die()
        ramp.look(600)
    ramp.apply(canary())
    ramp.look(2)
    assert ramp.routing == before
    assert ready(ramp) == ("False", "RolledBack")
    assert told(ramp, EventReason.ROLLED_BACK) == 1
    ramp.apply(canary({"steps": [{"weight": 5}]}))
    ramp.look(2)
    assert (ramp.routing.latched, ramp.routing.weight) == (False, 5)
    assert ramp.routing.run != before.run
    ramp.look(2)
    assert ready(ramp) == ("True", "Serving")


def test_what_one_engine_found_holds_for_all() -> None:
    ramp = begun(Ramp())
    first = stop_by_itself(ramp)
    ramp.look(2)
    assert ramp.routing.latched
    assert ramp.step.latched
    assert (ramp.step.latched.by, ramp.step.latched.pod) == ("engine", first)
    assert "20 units in a row" in ramp.says("CanaryHealthy").message


def test_an_abort_takes_the_candidate_out_of_the_way() -> None:
    ramp = begun(Ramp())
    ramp.order(f"abort@{ramp.routing.stage_id}")
    ramp.look(2)
    assert ramp.routing.latched
    assert ramp.step.latched
    assert ramp.step.latched.by == "user"
    assert ready(ramp) == ("False", "RolledBack")


def test_units_that_do_not_divide_as_they_should_freeze_the_ramp() -> None:
    ramp = begun(Ramp())
    for pod in ramp.counts:
        ramp.count(pod, 300, stable=300)
    ramp.look(61)
    assert healthy(ramp) == ("Unknown", "Frozen")
    assert (ramp.routing.stage, ramp.routing.latched) == (1, False)
    assert told(ramp, EventReason.CANARY_FROZEN) == 1


def test_an_operator_that_dies_at_every_look_comes_to_the_same_and_skips_no_hold() -> None:
    ramp = Ramp(canary({"linear": {"duration": "10m"}}))
    entered = []
    for _ in range(400):
        ramp.look(2)
        serve(ramp)
        ramp.die()
        assert ramp.step.stage
        if not entered or entered[-1][0] != ramp.step.stage.number:
            entered.append((ramp.step.stage.number, ramp.now))
    assert [number for number, _ in entered] == list(range(1, 11))
    gaps = [after - before for (_, before), (_, after) in pairwise(entered)]
    assert all(gap >= 60 for gap in gaps)
    assert healthy(ramp) == ("True", "Complete")


def test_a_clock_that_is_set_back_ends_no_stage_too_soon() -> None:
    ramp = begun(Ramp())
    serve(ramp)
    ramp.look(-3600)
    ramp.look(59)
    assert ramp.routing.stage == 1
    ramp.look(2)
    assert ramp.routing.stage == 2


def test_a_backup_that_is_restored_takes_the_ramp_back_and_all_pods_with_it() -> None:
    ramp = begun(Ramp())
    serve(ramp)
    restore = ramp.backup()
    ramp.look(60)
    ramp.look(2)
    ahead = ramp.table
    assert (ramp.routing.stage, ramp.routing.weight) == (2, 50)
    restore()
    ramp.look(2)
    assert (ramp.routing.stage, ramp.routing.weight) == (1, 10)
    assert ramp.table.revision > ahead.revision
    ramp.look(2)
    assert ramp.says("RoutingSynced").status == "True"


def test_what_an_engine_stopped_outlives_a_backup_that_is_restored() -> None:
    ramp = begun(Ramp())
    restore = ramp.backup()
    stop_by_itself(ramp)
    ramp.look(2)
    assert ready(ramp) == ("False", "RolledBack")
    restore()
    ramp.look(2)
    assert ramp.routing.latched
    assert ready(ramp) == ("False", "RolledBack")


def test_a_pod_that_does_not_answer_holds_the_ramp() -> None:
    ramp = begun(Ramp())
    serve(ramp)
    (first, *_) = ramp.counts
    ramp.silent[first] = ramp.now
    ramp.look(100)
    assert ramp.routing.stage == 1
    assert ramp.says("RoutingSynced").status == "Unknown"
    assert first in ramp.says("RoutingSynced").message
    del ramp.silent[first]
    ramp.look(2)
    assert ramp.routing.stage == 2


def test_counts_of_a_pod_that_is_gone_still_count_and_no_pod_counts_twice() -> None:
    ramp = begun(Ramp())
    (first, second) = ramp.counts
    ramp.count(first, 15, stable=100)
    ramp.count(second, 4, stable=50)
    for _ in range(10):
        ramp.look(2)
    assert ramp.stored == 1
    ramp.lose(first)
    ramp.look(2)
    assert ramp.stored == 2
    assert healthy(ramp) == ("True", "Ramping")
    ramp.die()
    ramp.look(60)
    assert [one.units for one in ramp.step.variants or ()] == [150, 19]
    assert healthy(ramp) == ("Unknown", "InsufficientData")
    ramp.count(second, 1)
    ramp.look(2)
    assert ramp.routing.stage == 2


def test_figures_alone_are_written_once_a_minute_and_looked_at_every_two_seconds() -> None:
    ramp = begun(Ramp(canary({"steps": [{"weight": 10, "hold": "1h"}, {"weight": 20}]})))
    written, stored = ramp.written, ramp.stored
    for _ in range(60):
        serve(ramp, 3)
        ramp.look(2)
        assert ramp.again == pytest.approx(2)
    assert ramp.written - written <= 2
    assert ramp.stored - stored <= 2


def test_an_edited_ramp_goes_on_where_it_is() -> None:
    ramp = begun(Ramp())
    serve(ramp)
    ramp.look(61)
    assert ramp.routing.weight == 50
    steps = [{"weight": 20, "hold": "1m"}, {"weight": 60, "hold": "1m"}, {"weight": 80}]
    ramp.apply(canary({"steps": steps}))
    ramp.look(2)
    assert (ramp.routing.stage, ramp.routing.weight) == (2, 60)


def test_a_spec_that_makes_no_sense_leaves_the_canary_where_it_is() -> None:
    ramp = begun(Ramp())
    before = ramp.routing
    broken = canary()
    broken["spec"]["steps"][1]["model"] = "none"
    ramp.apply(broken)
    serve(ramp)
    ramp.look(600)
    assert ramp.routing == before
    assert ready(ramp) == ("False", "Invalid")
    ramp.apply(canary())
    ramp.look(2)
    assert ramp.routing.run == before.run
    assert ramp.routing.stage == 2


def test_a_latch_is_heard_while_the_spec_makes_no_sense() -> None:
    ramp = begun(Ramp())
    broken = canary()
    broken["spec"]["steps"][1]["model"] = "none"
    ramp.apply(broken)
    stop_by_itself(ramp)
    ramp.look(2)
    assert ramp.routing.latched
    ramp.apply(canary())
    ramp.look(2)
    assert ramp.routing.latched
    assert ready(ramp) == ("False", "RolledBack")


@pytest.mark.parametrize("when", range(0, 70, 10))
def test_a_change_that_is_taken_back_at_any_time_ends_where_it_would_have(when: int) -> None:
    other = {"steps": [{"weight": 30, "hold": "1m"}, {"weight": 50}]}
    ramp = begun(Ramp())
    ramp.look(when)
    ramp.apply(canary(other))
    ramp.look(2)
    ramp.apply(canary(STEPS))
    for _ in range(100):
        ramp.look(2)
        serve(ramp, 2)
    assert (ramp.routing.weight, healthy(ramp)[1]) == (50, ConditionReason.AWAITING_PROMOTION)
