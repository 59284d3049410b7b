"""Canaries played through: how often they are rolled back, and that both ways to play agree."""

import random
from statistics import mean, median, variance

import numpy as np
import pytest
from scipy.stats import binom

from canaries import make_wanted
from streams import (
    LOOK,
    NEVER,
    Scenario,
    draw,
    real_rollback,
    rollback,
    threshold,
    z_test,
)
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_core.canary import Wanted
from tiltyard_core.simulate import Simulated, Traffic, binomial, simulate

TEN = {"linear": {"duration": "1h"}}
ONE = {"steps": [{"weight": 5, "hold": "1h"}]}
RAMP = tuple(10.0 * n for n in range(1, 11))
ENGINES = 3
THREE = {"replicas": ENGINES}

EQUAL = Scenario(50, 0.01, 0.01, weights=RAMP, burst=20, drift=20)
"""Both models alike, for an hour of ten weights, with clients that fail twenty times in a row."""

WORSE = Scenario(50, 0.01, 0.03)


def share(found: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    return float((found != NEVER).mean())


def seconds(found: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """Median time to the rollback, of runs that all are rolled back."""
    assert (found != NEVER).all()
    return float(np.median(found + 1) * LOOK)


def by_default(scenario: Scenario, want: Wanted, runs: int, seed: int) -> tuple[float, float]:
    """Share of an equal candidate's hours with a rollback: by this test, and by a repeated z."""
    ours = theirs = 0.0
    chunk = 500
    chance = np.random.default_rng(seed)
    for _ in range(runs // chunk):
        streams = draw(scenario, chunk, ENGINES, chance)
        found = rollback(streams, 0.5, want.all_engines.alpha, want.one_engine.alpha)
        ours, theirs = ours + share(found) * chunk, theirs + share(z_test(streams)) * chunk
    return ours / runs, theirs / runs


@pytest.mark.parametrize(
    ("scenario", "guards"),
    [
        (EQUAL, {"alpha": 0.5, "errors": {"margin": 0}}),
        (WORSE, {}),
        (Scenario(50, 0.01, 0.5, weights=(1, 5, 25)), {"errors": {"margin": 2}}),
    ],
    ids=["equal", "worse", "much worse"],
)
def test_the_fast_way_to_play_says_what_the_real_code_says(
    scenario: Scenario, guards: dict[str, object]
) -> None:
    steps = [{"weight": one, "hold": "1m"} for one in scenario.weights]
    want = make_wanted({"steps": steps}, guards, THREE)
    streams = draw(scenario, 6, ENGINES, np.random.default_rng(11))
    margin = want.guards.errors.margin
    fast = rollback(streams, margin, want.all_engines.alpha, want.one_engine.alpha)
    assert [real_rollback(streams, run, want) for run in range(6)] == fast.tolist()


def test_an_equal_candidate_is_seldom_rolled_back() -> None:
    want = make_wanted(TEN, deployment=THREE)
    ours, peeking = by_default(EQUAL, want, runs=500, seed=3)
    assert ours <= want.guards.alpha
    assert peeking > 0.5


@pytest.mark.full
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_ten_thousand_hours_of_an_equal_candidate(margin: float) -> None:
    guards = {"errors": {"margin": margin}}
    want = make_wanted(TEN, guards, THREE)
    ours, peeking = by_default(EQUAL, want, runs=10_000, seed=4)
    assert ours <= want.guards.alpha
    assert peeking > 0.5


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_alpha_of_one_test_holds_undivided_and_without_a_margin() -> None:
    chance, found = np.random.default_rng(5), []
    steady = Scenario(50, 0.01, 0.01, burst=20, drift=20)
    for _ in range(20):
        streams = draw(steady, 500, 1, chance)
        found.append(share(rollback(streams, 0, 0.01, 1e-300)))
    assert 0 < mean(found) <= 0.01


def test_three_times_the_errors_are_found_within_minutes() -> None:
    streams = draw(WORSE, 200, 1, np.random.default_rng(6))
    undivided = seconds(rollback(streams, 0, 0.01, 1e-300))
    assert undivided <= 300
    want = make_wanted(TEN, deployment=THREE)
    default = seconds(rollback(streams, 0.5, want.all_engines.alpha, want.one_engine.alpha))
    assert undivided < default <= 1200


def test_rules_of_other_tools_are_wrong_in_both_directions() -> None:
    chance = np.random.default_rng(8)
    steady = draw(Scenario(50, 0.01, 0.01), 200, 1, chance)
    assert share(threshold(steady, 0.99, 5)) > 0.9
    assert share(z_test(steady)) > 0.1
    bad = draw(Scenario(500, 0.01, 0.03), 50, 1, chance)
    assert share(threshold(bad, 0.95, 3)) < 0.1
    assert share(rollback(bad, 0.5, 0.01, 1e-300)) == 1


def test_a_played_canary_is_decided_as_in_production() -> None:
    want = make_wanted(ONE, deployment=THREE)
    chance = random.Random(1)
    good = Simulated(tuple(simulate(want, Traffic(50, 0.01, 0.01), 3, chance, 5000, 20)))
    assert (good.share, good.median_seconds) == (0, None)
    assert {one.reason for one in good.runs} == {ConditionReason.COMPLETE}
    bad = Simulated(tuple(simulate(want, Traffic(50, 0.01, 0.05), 10, chance, 3600, 5)))
    assert bad.share == 1
    assert bad.median_seconds == median(one.seconds for one in bad.runs)
    assert 10 < bad.median_seconds < 600
    assert {one.by for one in bad.rolled_back} <= {"operator", "engine"}


def test_a_played_canary_without_traffic_is_left_where_it_is() -> None:
    want = make_wanted(ONE)
    (run,) = simulate(want, Traffic(0.01, 0.01, 0.5), 1, random.Random(1), 5000, 60)
    assert (run.reason, run.stage) == (ConditionReason.INSUFFICIENT_DATA, 1)


@pytest.mark.parametrize(("trials", "rate"), [(5, 0.3), (100, 0.05), (1000, 0.5), (10**6, 0.97)])
def test_trials_succeed_as_often_as_they_should(trials: int, rate: float) -> None:
    chance = random.Random(f"{trials}")
    found = [binomial(trials, rate, chance) for _ in range(2000)]
    wanted = binom(trials, rate)
    assert mean(found) == pytest.approx(wanted.mean(), abs=5 * wanted.std() / 2000**0.5)
    assert variance(found) == pytest.approx(wanted.var(), rel=0.2)
    assert binomial(trials, 0, chance) == binomial(0, rate, chance) == 0
    assert binomial(trials, 1, chance) == trials
