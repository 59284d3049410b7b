"""Events tell of changes, once, and nothing of what stays."""

from dataclasses import replace
from typing import Any

import pytest

from makers import make_document, make_resolved
from sights import NOW, as_stored, decided, figures, serving
from tiltyard_api.figures import Histogram
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.status import PipelineStatus, VariantStatus
from tiltyard_operator.events import events, newly_synced
from tiltyard_operator.observed import Answer
from tiltyard_operator.status import FIGURES_EVERY, Made, plain, report, worth_writing
from tiltyard_operator.verdicts import Verdict

FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
NOTHING = PipelineStatus()


def status_of(changes: dict[str, Any] | None = None, **there: Any) -> PipelineStatus:
    before = there.pop("before", None)
    made = there.pop("made", {})
    document = make_document(changes)
    read = serving(make_document(), FACTS) | there
    if before:
        read["stored"] = as_stored(document, status=plain(before))
    seen, decision = decided(document, **read)
    return report(seen, decision, replace(Made(seen.workload), **made), NOW)


READY = status_of()
NEW = status_of(revisions=[], deployment=None, pods=[], said={}, facts=FACTS)
RESOLVING = status_of(revisions=[], deployment=None, pods=[], said={}, routing=None)
REFUSED = status_of(
    made={"refused": Verdict(ConditionReason.APPLY_REFUSED, "Service prices: exceeded quota")}
)
GONE = status_of(pods=[], said={})
SUSPENDED = status_of({"spec.suspend": True}, pods=[], said={})
OTHER_WEIGHTS = status_of({"spec.steps[0].split.variants[0].weight": 7})


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (NOTHING, RESOLVING, []),
        (RESOLVING, NEW, ["Normal Resolved"]),
        (NEW, READY, ["Normal RolledOut"]),
        (READY, READY, []),
        (READY, REFUSED, ["Warning Stalled"]),
        (REFUSED, REFUSED, []),
        (READY, GONE, ["Warning Unavailable", "Normal RollingOut"]),
        (READY, SUSPENDED, ["Normal Suspended"]),
        (SUSPENDED, READY, ["Normal Resumed", "Normal RolledOut"]),
        (READY, OTHER_WEIGHTS, ["Normal RoutingChanged"]),
        (OTHER_WEIGHTS, READY, ["Normal RoutingChanged"]),
    ],
)
def test_a_change_is_told_once(
    before: PipelineStatus, after: PipelineStatus, told: list[str]
) -> None:
    assert [f"{one.type} {one.reason}" for one in events(before, after)] == told


def test_a_stall_is_told_with_its_reason_and_remedy() -> None:
    (event,) = events(READY, REFUSED)
    assert event.message == "ApplyRefused: Service prices: exceeded quota"


def test_the_last_pod_that_comes_to_new_weights_is_noticed_once() -> None:
    assert newly_synced(OTHER_WEIGHTS, READY)
    assert not newly_synced(READY, READY)


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    moved = plain(READY)
    for one in moved["conditions"]:
        one["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    later = status_of(before=PipelineStatus.model_validate(moved), pods=[], said={})
    times = {one.type: one.last_transition_time.year for one in later.conditions or ()}
    assert times == {
        "Accepted": 2020,
        "ModelsLoaded": 2020,
        "Available": 2027,
        "RoutingSynced": 2027,
        "Reconciling": 2027,
        "Ready": 2027,
    }


def test_figures_ride_on_another_change_or_wait_a_minute() -> None:
    read = serving(make_document(), FACTS)
    answers = {
        name: replace(answer, variants={("price", "a"): figures(1000)})
        for name, answer in read["said"].items()
    }
    busier = status_of(said=answers)
    assert busier.steps != READY.steps
    assert not worth_writing(READY, busier, NOW + FIGURES_EVERY - 1)
    assert worth_writing(READY, busier, NOW + FIGURES_EVERY)
    assert not worth_writing(READY, READY, NOW + 10 * FIGURES_EVERY)
    silent = {name: Answer(silent_since=NOW - 9) for name in answers}
    assert worth_writing(READY, status_of(said=silent), NOW)


def test_figures_of_all_pods_are_added_up() -> None:
    read = serving(make_document(), FACTS)
    _, other = read["said"]
    slow = Histogram(bounds=(0.001, 0.002), counts=(0, 0, 1), sum=9)
    read["said"][other] = replace(
        read["said"][other], variants={("price", "a"): figures(1, errors=1, seconds=slow)}
    )
    (variant, quiet) = (status_of(said=read["said"]).steps or ())[0].variants or ()
    assert (variant.model, variant.weight, variant.requests) == ("a", 2, 4)
    assert variant.effective == pytest.approx(2 / 3, abs=1e-6)
    assert (variant.error_share, variant.p99) == (0.25, 0.002)
    assert variant.p50 == pytest.approx(0.001 + 0.001 * 2 / 3, abs=1e-6)
    assert quiet.requests is quiet.error_share is quiet.p50 is quiet.match_rate is None


def test_each_figure_alone_is_no_reason_to_write() -> None:
    (step, *others) = READY.steps or ()
    (variant, *rest) = step.variants or ()
    for name in set(VariantStatus.model_fields) - {"model", "weight", "effective"}:
        other = variant.model_copy(update={name: 0.125})
        steps = (step.model_copy(update={"variants": (other, *rest)}), *others)
        later = READY.model_copy(update={"steps": steps})
        assert not worth_writing(READY, later, NOW + FIGURES_EVERY - 1)
        assert worth_writing(READY, later, NOW + FIGURES_EVERY)


def test_a_status_survives_being_written_and_read() -> None:
    assert PipelineStatus.model_validate(plain(READY)) == READY
