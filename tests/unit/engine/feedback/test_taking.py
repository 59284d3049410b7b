"""Feedback of one worker: what is credited to whom, and what is refused for which reason."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab import DAY, INTERLEAVE, METRICS, Lab, plan_of
from ledgers import counted
from tiltyard_api.experiment import BUCKETS, WHOLE, ExperimentSums
from tiltyard_api.reasons import Reason
from tiltyard_core.experiments.arrays import unpacked
from tiltyard_core.experiments.sums import nets
from tiltyard_engine.feedback.results import FEEDBACK
from tiltyard_engine.feedback.taking import SKEW_SECONDS, Feedback


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def results(lab: Lab, metric: str) -> dict[str, int]:
    found = {
        series.labels[2]: lab.counters.total(series)
        for series in lab.counters.layout
        if series.metric == FEEDBACK and series.labels[1] == metric
    }
    return {result: count for result, count in found.items() if count}


def test_feedback_is_credited_to_the_variant_that_the_id_names(lab: Lab) -> None:
    for draw, variant, value in [(1, "a", True), (2, "a", 0), (3, "b", 1), (4, "b", 1.0)]:
        answer = lab.answer(draw, variant)
        assert lab.say(Feedback(answer.inference_id, "paid", value)) is None
        assert lab.say(Feedback(answer.inference_id, "revenue", 2.5 * draw)) is None
        assert lab.say(Feedback(answer.inference_id, "visits", 3)) is None
    assert counted(lab.sums.told()) == {
        ("a", "paid"): (2, 1),
        ("a", "revenue"): (2, 7.5),
        ("a", "visits"): (2, 6),
        ("b", "paid"): (2, 2),
        ("b", "revenue"): (2, 17.5),
        ("b", "visits"): (2, 6),
    }
    assert results(lab, "paid") == {"accepted": 4}


def test_a_label_tells_whether_the_score_in_the_id_was_right(lab: Lab) -> None:
    for score, label in [(0.1, 0), (0.2, 1), (0.5, 1), (0.9, 0), (0.7, 1)]:
        answer = lab.answer(int(100 * score), "b", score=score)
        assert lab.say(Feedback(answer.inference_id, "fraud", label)) is None
    told = lab.sums.told().strata[0].variants["b"].metrics["fraud"]
    assert told.label
    by_bucket = unpacked(WHOLE, told.label.confusion)
    sides = [sum(by_bucket[at : at + BUCKETS]) for at in range(0, 4 * BUCKETS, BUCKETS)]
    assert sides == [1, 1, 1, 2]
    assert counted(lab.sums.told()) == {("b", "fraud"): (5, 3)}


@pytest.mark.parametrize(
    ("metric", "value", "reason"),
    [
        ("paid", "yes", Reason.WRONG_TYPE),
        ("paid", None, Reason.WRONG_TYPE),
        ("paid", [1], Reason.WRONG_TYPE),
        ("paid", 2, Reason.OUT_OF_RANGE),
        ("paid", 0.5, Reason.OUT_OF_RANGE),
        ("visits", -1, Reason.OUT_OF_RANGE),
        ("visits", 1.5, Reason.OUT_OF_RANGE),
        ("visits", 2**53 + 2, Reason.OUT_OF_RANGE),
        ("visits", 10**400, Reason.OUT_OF_RANGE),
        ("visits", True, Reason.WRONG_TYPE),
        ("revenue", "1", Reason.WRONG_TYPE),
        ("revenue", 1e308, Reason.OUT_OF_RANGE),
        ("revenue", -1e101, Reason.OUT_OF_RANGE),
        ("revenue", float("inf"), Reason.OUT_OF_RANGE),
        ("revenue", float("nan"), Reason.OUT_OF_RANGE),
        ("fraud", 0.7, Reason.OUT_OF_RANGE),
        ("profit", 1, Reason.UNKNOWN_METRIC),
        ("", 1, Reason.UNKNOWN_METRIC),
    ],
    ids=lambda value: str(value)[:12],
)
def test_a_value_that_makes_no_sense_is_refused_and_counted(
    lab: Lab, metric: str, value: object, reason: Reason
) -> None:
    answer = lab.answer()
    refusal = lab.say(Feedback(answer.inference_id, metric, value))
    assert refusal
    assert refusal.reason is reason
    assert counted(lab.sums.told()) == {}
    known = metric if metric in [one["name"] for one in METRICS] else ""
    assert results(lab, known) == {reason: 1}


def test_a_label_of_an_answer_without_a_score_is_refused(lab: Lab) -> None:
    answer = lab.answer(score=float("nan"))
    refusal = lab.say(Feedback(answer.inference_id, "fraud", 1))
    assert refusal
    assert refusal.reason is Reason.NULL_VALUE
    assert lab.say(Feedback(answer.inference_id, "paid", 1)) is None


@pytest.mark.parametrize(
    ("row", "item", "reason"),
    [(1, None, Reason.OUT_OF_RANGE), (-1, None, Reason.OUT_OF_RANGE), (0, -1, Reason.OUT_OF_RANGE)],
)
def test_rows_and_items_that_there_are_not_are_refused(
    lab: Lab, row: int, item: int | None, reason: Reason
) -> None:
    refusal = lab.say(Feedback(lab.answer().inference_id, "paid", 1, row, item))
    assert refusal
    assert refusal.reason is reason


def test_the_same_is_counted_once_and_anything_else_of_the_same_answer_too(lab: Lab) -> None:
    answer = lab.answer()
    sent = [
        Feedback(answer.inference_id, metric, 1, row, item)
        for metric in ("paid", "visits")
        for row in (None, 0)
        for item in (None, 0, 1)
    ]
    assert lab.takers.take(sent) == [None] * len(sent)
    again = lab.takers.take(sent)
    assert [one and one.reason for one in again] == [Reason.DUPLICATE] * len(sent)
    twice = Feedback(lab.answer().inference_id, "paid", 1)
    first, second = lab.takers.take([twice, twice])
    assert first is None
    assert second
    assert second.reason is Reason.DUPLICATE
    assert counted(lab.sums.told()) == {("a", "paid"): (7, 7), ("a", "visits"): (6, 6)}


def test_an_id_is_too_old_after_a_month_and_none_is_from_the_future(lab: Lab) -> None:
    answer = lab.answer()
    lab.now -= SKEW_SECONDS
    assert lab.say(Feedback(answer.inference_id, "paid", 1)) is None
    lab.now -= 1
    ahead = lab.say(Feedback(answer.inference_id, "visits", 1))
    lab.now += 31 * DAY
    late = lab.say(Feedback(answer.inference_id, "visits", 1))
    assert ahead
    assert late
    assert (ahead.reason, late.reason) == (Reason.CLOCK_AHEAD, Reason.TOO_OLD)


def test_ids_of_an_experiment_that_was_changed_are_over(lab: Lab, tmp_path: Path) -> None:
    old = lab.answer()
    changed = Lab(tmp_path, plan_of(METRICS[:1]))
    refusal = changed.say(Feedback(old.inference_id, "paid", 1))
    assert refusal
    assert (refusal.reason, refusal.status) == (Reason.TOO_OLD, 410)


def test_ids_of_others_and_of_nobody_are_told_apart(lab: Lab, tmp_path: Path) -> None:
    other = Lab(tmp_path / "other", uid="u-2").answer().inference_id
    mine = lab.answer().inference_id
    forged = mine[:20] + ("A" if mine[20] != "A" else "B") + mine[21:]
    sent = [Feedback(one, "paid", 1) for one in (other, forged, "plain", mine)]
    found = lab.takers.take(sent)
    assert [one and one.status for one in found] == [404, 401, 400, None]
    assert results(lab, "")[Reason.WRONG_TOKEN] == 1


def test_what_chance_did_not_choose_is_taken_and_credits_nobody(lab: Lab) -> None:
    answer = lab.answer(counted=False)
    assert lab.say(Feedback(answer.inference_id, "paid", 1)) is None
    assert lab.sums.told().strata == ()
    assert results(lab, "paid") == {"unassigned": 1}


def test_rows_with_scores_have_ids_of_their_own(lab: Lab) -> None:
    answer = lab.answer(rows=3)
    assert answer.row_ids
    assert len({answer.inference_id, *answer.row_ids}) == 4
    whole_batch = lab.say(Feedback(answer.inference_id, "paid", 1, 2))
    assert whole_batch
    assert (whole_batch.reason, whole_batch.status) == (Reason.ROW_NEEDS_OWN_ID, 400)
    sent = [Feedback(one, "paid", 1) for one in answer.row_ids]
    assert lab.takers.take(sent) == [None] * 3
    told = lab.sums.told().strata[0].variants["a"].metrics["paid"]
    assert told.clustered, "rows of one request are of one unit"


def test_rows_that_chance_treats_alike_share_an_id(tmp_path: Path) -> None:
    step = {
        "name": "price",
        "split": {"variants": [{"model": "a", "weight": 1}, {"model": "b", "weight": 1}]},
    }
    lab = Lab(tmp_path, plan_of(METRICS[:1], step))
    answer = lab.answer(rows=3)
    assert answer.row_ids is None
    sent = [Feedback(answer.inference_id, "paid", 1, row) for row in (0, 1, 2, 3)]
    assert [one and one.reason for one in lab.takers.take(sent)] == [
        *[None] * 3,
        Reason.OUT_OF_RANGE,
    ]


def test_a_change_of_weights_opens_a_stratum_and_old_weights_their_own_again(lab: Lab) -> None:
    for weights in ((2, 1), (1, 1), (4, 2)):
        answer = lab.answer(weights=weights)
        assert lab.say(Feedback(answer.inference_id, "paid", 1)) is None
    told = {tuple(one.shares.values()): counted_in(one) for one in lab.sums.told().strata}
    assert told == {(2 / 3, 1 / 3): 2, (0.5, 0.5): 1}


def counted_in(stratum: object) -> int:
    one = ExperimentSums.model_validate(
        {"id": "x", "incarnation": "x", "keyed": True, "strata": [stratum]}
    )
    return sum(many for many, _ in counted(one).values())


def test_another_replica_credits_weights_that_it_never_ran(lab: Lab, tmp_path: Path) -> None:
    answer = lab.answer(variant="b", weights=(1, 3))
    replica = Lab(tmp_path / "replica")
    assert replica.say(Feedback(answer.inference_id, "revenue", 5)) is None
    (stratum,) = replica.sums.told().strata
    (ours,) = lab.sums.told().strata
    assert (stratum.id, stratum.shares) == (ours.id, {})
    assert counted(replica.sums.told()) == {("b", "revenue"): (1, 5)}


def test_clicks_credit_the_ranker_of_their_place(tmp_path: Path) -> None:
    lab = Lab(tmp_path, plan_of(METRICS[:2], INTERLEAVE))
    one, two = lab.interleaved(["b", "a", "a", "b", ""], 11), lab.interleaved(["a", "b"], 12)
    clicks = [(one, 1, 1), (one, 2, 1), (one, 0, 1), (two, 1, 1), (two, 0, 0), (one, 4, 1)]
    sent = [Feedback(call.inference_id, "paid", value, None, item) for call, item, value in clicks]
    assert lab.takers.take(sent) == [None] * len(sent)
    assert lab.say(Feedback(one.inference_id, "visits", 4, None, 3)) is None
    told = lab.sums.told()
    assert counted(told) == {("a", "paid"): (3, 2), ("b", "paid"): (2, 2), ("b", "visits"): (1, 4)}
    (stratum,) = told.strata
    assert {name: nets(wins) for name, wins in stratum.wins.items()} == {
        "paid": {11: 1, 12: -1},
        "visits": {11: -4},
    }
    nobody = lab.say(Feedback(one.inference_id, "paid", 1))
    assert nobody
    assert (nobody.reason, nobody.field) == (Reason.MALFORMED_BODY, "item")
    assert results(lab, "paid")["unassigned"] == 1


def test_keys_of_a_secret_are_rotated_without_losing_yesterdays_ids(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "current").write_bytes(b"one")
    old, new = Lab(tmp_path, secret=secret), tmp_path / "new"
    first = old.answer().inference_id
    (secret / "next").write_bytes(b"two")
    ahead = Lab(new, secret=secret)
    assert ahead.say(Feedback(first, "paid", 1)) is None
    (secret / "previous").write_bytes(b"one")
    (secret / "current").write_bytes(b"two")
    (secret / "next").unlink()
    rotated = Lab(new, secret=secret)
    second = rotated.answer().inference_id
    assert rotated.say(Feedback(first, "visits", 1)) is None
    assert rotated.say(Feedback(second, "visits", 1)) is None
    (secret / "previous").unlink()
    last = Lab(new, secret=secret)
    refused = last.say(Feedback(first, "revenue", 1))
    assert refused
    assert refused.reason is Reason.WRONG_TOKEN
    assert last.say(Feedback(second, "revenue", 1)) is None


def test_sums_outlive_whoever_counted_them(lab: Lab) -> None:
    answer = lab.answer()
    assert lab.say(Feedback(answer.inference_id, "paid", 1)) is None
    before = lab.sums.told()
    again = replace(lab)
    assert again.sums.told() == before
    repeated = again.say(Feedback(answer.inference_id, "paid", 1))
    assert repeated
    assert repeated.reason is Reason.DUPLICATE


def test_more_weights_than_are_told_apart_are_taken_and_credit_nobody(tmp_path: Path) -> None:
    lab = Lab(tmp_path, plan_of([{"name": f"m{n}", "kind": "binary"} for n in range(8)]))
    most = lab.opened.layout.strata
    for weight in range(1, most + 2):
        answer = lab.answer(weights=(weight, 1000))
        assert lab.say(Feedback(answer.inference_id, "m0", 1)) is None
    assert results(lab, "m0") == {"accepted": most, "unassigned": 1}
