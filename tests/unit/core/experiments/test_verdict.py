import random

import pytest

from feedback import divided, experiment, rates, sold, stratum, sums
from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.v1alpha1.verdict import Comparison, Finding, Verdict
from tiltyard_core.experiments.sums import WinCell
from tiltyard_core.experiments.verdict import judge

EVEN = {"old": 0.5, "new": 0.5}
PAIR = ("old", "new")


def of(
    rates: tuple[float, float], count: int = 12_000, share: float = 0.5, seed: int = 1
) -> ExperimentSums:
    outcomes = divided(random.Random(seed), count, share, rates)
    return sums(stratum("s", {"old": 1 - share, "new": share}, outcomes))


def only(verdict: Verdict, place: int = 0) -> Comparison:
    return (verdict.comparisons or ())[place]


def test_a_better_variant_is_told_with_its_figures() -> None:
    found = judge(of((0.1, 0.15)), experiment(), PAIR)
    assert (found.conclusive, found.reason, found.best) == (True, "VariantBetter", "new")
    row = only(found)
    assert row.finding is Finding.BETTER
    assert row.low is not None
    assert row.high is not None
    assert row.p is not None
    assert row.fixed_p is not None
    assert 0.01 < row.low < 0.05 < row.high < 0.08
    assert row.fixed_p < row.p < 0.05
    assert row.needed == 1
    assert row.method == "betting"
    assert row.fixed_test == "two-proportion z"
    assert found.message.startswith(f"new is better than old on 'sold': {row.estimate:+.4g} (")


def test_a_worse_variant_leaves_the_control_the_best() -> None:
    found = judge(of((0.15, 0.1)), experiment(), PAIR)
    assert (found.reason, found.best) == ("ControlBest", "old")


def test_lower_may_be_better() -> None:
    lower = experiment(metrics=[{"name": "sold", "kind": "binary", "better": "lower"}])
    found = judge(of((0.15, 0.1)), lower, PAIR)
    assert (found.reason, found.best) == ("VariantBetter", "new")


def test_no_verdict_is_a_result_and_says_how_much_more_it_would_take() -> None:
    found = judge(of((0.1, 0.105), seed=3), experiment(), PAIR)
    assert (found.conclusive, found.reason, found.best) == (False, "NoVerdict", None)
    row = only(found)
    assert row.finding is Finding.OPEN
    assert row.needed is None or row.needed > 1
    assert row.low is not None
    assert row.high is not None
    assert row.low < 0 < row.high


def test_as_much_more_as_it_says_would_do() -> None:
    found = only(judge(of((0.1, 0.11)), experiment(), PAIR))
    assert found.needed
    assert found.needed > 1

    def again(times: float) -> Verdict:
        yes = {
            "old": (found.control_units * times, found.control_mean or 0),
            "new": (found.units * times, found.mean or 0),
        }
        whole_ones = {name: (round(n), round(n * rate)) for name, (n, rate) in yes.items()}
        return judge(sums(rates("s", EVEN, whole_ones)), experiment(), PAIR)

    assert again(found.needed * 1.02).conclusive
    assert not again(found.needed * 0.97).conclusive


def test_too_few_units_are_no_reason_for_a_verdict_however_different_they_are() -> None:
    found = judge(of((0.05, 0.9), count=300), experiment(minUnits=1000), PAIR)
    assert found.reason == "InsufficientData"
    assert only(found).finding is Finding.FEW
    assert "1000 of each are wanted" in found.message
    assert judge(None, experiment(), PAIR).reason == "InsufficientData"
    assert judge(sums(), experiment(), PAIR).reason == "InsufficientData"


def test_requests_that_do_not_divide_by_their_shares_block_the_verdict() -> None:
    chance = random.Random(2)
    outcomes = divided(chance, 10_000, 0.55, (0.1, 0.2))
    found = judge(sums(stratum("s", EVEN, outcomes)), experiment(), PAIR)
    assert (found.conclusive, found.reason) == (False, "SampleRatioMismatch")
    assert only(found).finding is Finding.BLOCKED
    assert "not 50.00 %" in found.message


def test_feedback_that_does_not_divide_as_requests_did_blocks_the_verdict() -> None:
    chance = random.Random(3)
    everybody = divided(chance, 10_000, 0.5, (0.1, 0.2))
    buyers = {name: [one for one in all_ if one[1]] for name, all_ in everybody.items()}
    found = judge(sums(stratum("s", EVEN, buyers, assigned=everybody)), experiment(), PAIR)
    assert found.reason == "SampleRatioMismatch"
    assert "send a value for everybody" in found.message


def test_users_who_come_back_more_often_are_no_broken_split() -> None:
    chance = random.Random(4)
    users = divided(chance, 4000, 0.5, (0.1, 0.1))
    often = {"old": users["old"], "new": users["new"] * 3}
    found = judge(sums(stratum("s", EVEN, often, clustered=True), keyed=True), experiment(), PAIR)
    assert found.reason == "NoVerdict"
    fewer = {"old": users["old"], "new": users["new"][:1000]}
    broken = sums(stratum("s", EVEN, fewer, clustered=True), keyed=True)
    assert judge(broken, experiment(), PAIR).reason == "SampleRatioMismatch"


@pytest.mark.parametrize("kind", ["binary", "value"])
def test_strata_are_combined_and_never_pooled(kind: str) -> None:
    """The new variant is better in both; it had most units where everything goes badly."""
    chance = random.Random(5)
    good = stratum("a", {"old": 0.9, "new": 0.1}, divided(chance, 10_000, 0.1, (0.8, 0.85)))
    bad = stratum("b", {"old": 0.1, "new": 0.9}, divided(chance, 10_000, 0.9, (0.1, 0.15)))
    found = judge(sums(good, bad), experiment(kind), PAIR)
    row = only(found)
    assert row.mean is not None
    assert row.control_mean is not None
    assert row.estimate == pytest.approx(0.05, abs=0.015)
    assert row.mean < row.control_mean - 0.4  # what pooling would say
    assert found.best == "new"


def test_values_of_one_user_are_not_taken_for_many() -> None:
    """Users differ, their own values hardly: ten of a user say no more than one."""
    chance = random.Random(6)
    users = {
        name: [(chance.getrandbits(64), chance.gauss(0, 1)) for _ in range(400)] for name in PAIR
    }
    every = {name: [one for one in all_ for _ in range(10)] for name, all_ in users.items()}
    alone = judge(
        sums(stratum("s", EVEN, users, clustered=True), keyed=True), experiment("value"), PAIR
    )
    found = judge(
        sums(stratum("s", EVEN, every, clustered=True), keyed=True), experiment("value"), PAIR
    )
    naive = judge(sums(stratum("s", EVEN, every)), experiment("value"), PAIR)
    once, ten, wrong = (only(one) for one in (alone, found, naive))
    assert ten.fixed_p == pytest.approx(once.fixed_p or 0)
    assert wrong.fixed_p is not None
    assert wrong.fixed_p < (once.fixed_p or 0) / 2
    assert ten.method == "normal mixture over buckets of units"
    assert ten.units == pytest.approx(400, rel=0.2)


def test_several_variants_share_alpha() -> None:
    chance = random.Random(7)
    thirds = dict.fromkeys(("old", "new", "other"), 1 / 3)
    outcomes = {name: sold(chance, 5000, 0.1) for name in thirds}
    three = judge(sums(stratum("s", thirds, outcomes)), experiment(), tuple(thirds))
    two = judge(
        sums(stratum("s", EVEN, {name: outcomes[name] for name in PAIR})), experiment(), PAIR
    )
    wide, narrow = only(three), only(two)
    assert wide.estimate == narrow.estimate
    assert (wide.high or 0) - (wide.low or 0) > 1.02 * ((narrow.high or 0) - (narrow.low or 0))
    assert [one.variant for one in three.comparisons or ()] == ["new", "other"]


def test_the_best_of_several_better_ones_is_named() -> None:
    chance = random.Random(8)
    thirds = dict.fromkeys(("old", "new", "other"), 1 / 3)
    rates = {"old": 0.1, "new": 0.15, "other": 0.2}
    outcomes = {name: sold(chance, 7000, rate) for name, rate in rates.items()}
    assert judge(sums(stratum("s", thirds, outcomes)), experiment(), tuple(thirds)).best == "other"


def test_values_that_are_all_the_same_give_no_interval() -> None:
    chance = random.Random(9)
    outcomes = {name: [(chance.getrandbits(64), 3.0) for _ in range(500)] for name in PAIR}
    row = only(judge(sums(stratum("s", EVEN, outcomes)), experiment("value"), PAIR))
    assert (row.low, row.high, row.finding) == (None, None, Finding.FEW)


def interleaved(first: int, second: int, units: int) -> ExperimentSums:
    """Of a hundred units so many prefer either ranker."""
    chance, wins = random.Random(10), WinCell()
    clicks: dict[str, list[tuple[int, float]]] = {"old": [], "new": []}
    for number in range(units):
        draw, place = chance.getrandbits(64), number % 100
        team = 0 if place < first else 1 if place < first + second else None
        if team is not None:
            wins.add(draw, 1, team)
            clicks[PAIR[team]].append((draw, 1.0))
    found = stratum("s", {"old": 1.0, "new": 1.0}, clicks, clustered=True)
    told = found.model_copy(update={"wins": {"sold": wins.told()}})
    return sums(told, keyed=True)


def test_the_ranker_that_units_prefer_is_better() -> None:
    row = only(judge(interleaved(30, 50, 2000), experiment(), PAIR))
    assert row.finding is Finding.BETTER
    assert row.estimate == pytest.approx(20 / 80)
    assert row.wins
    assert (row.wins.wins, row.wins.control_wins, row.wins.ties) == (1000, 600, 0)
    assert row.wins.sign_p < row.wins.p < 1e-10


def test_rankers_that_are_the_same_have_no_verdict() -> None:
    found = judge(interleaved(40, 40, 2000), experiment(), PAIR)
    assert found.reason == "NoVerdict"
    row = only(found)
    assert row.wins
    assert row.wins.p == row.wins.sign_p == 1


def test_shares_that_nobody_knows_are_left_out() -> None:
    chance = random.Random(11)
    known = stratum("a", EVEN, divided(chance, 3000, 0.5, (0.1, 0.1)))
    unknown = stratum("b", {}, divided(chance, 3000, 0.9, (0.1, 0.9)))
    assert only(judge(sums(known, unknown), experiment(), PAIR)).units == pytest.approx(
        1500, rel=0.1
    )


def test_values_of_any_size_are_judged() -> None:
    chance = random.Random(12)
    for size in (1e-100, 1.0, 1e100):
        outcomes = {
            name: [(chance.getrandbits(64), size * chance.gauss(mean, 1)) for _ in range(500)]
            for name, mean in (("old", 0.0), ("new", 1.0))
        }
        for clustered in (False, True):
            one = stratum("s", EVEN, outcomes, clustered=clustered)
            row = only(judge(sums(one, keyed=clustered), experiment("value"), PAIR))
            assert row.finding is Finding.BETTER
            assert row.estimate == pytest.approx(size, rel=0.3)
