"""Tests that may be looked at always: the arrays of the simulation are the real code, and it keeps
its promises in a short simulation. `benchmarks/experiments.py` is the long one."""

import random
from math import log

import numpy as np
import pytest
from scipy import stats

from manylooks import Crowd, Setting, binary, clustered, looks, ratio, spread, values, visits
from tiltyard_api.experiment import BUCKETS
from tiltyard_core.experiments.anytime import (
    Table,
    binary_evidence,
    binary_interval,
    normal_evidence,
    normal_limit,
    prior_of,
    ratio_evidence,
)
from tiltyard_core.experiments.cells import Numbers, Stratum
from tiltyard_core.experiments.difference import difference
from tiltyard_core.experiments.ratios import RATIO_ALPHA

ALPHA, LEAST = 0.05, 100
LIMIT = log(1 / ALPHA)


def numbers(counts: list[int], sums: list[float], squares: float, *, many: bool) -> Numbers:
    registers = [
        12
    ] * BUCKETS  # about 400,000 units: more than there are values, which are the bound
    return Numbers(counts, sums, sum(counts), sum(sums), squares, registers, many)


def at_most(found: int, trials: int) -> float:
    """Lower 99 % bound of a share."""
    return float(stats.beta.ppf(0.01, found, trials - found + 1)) if found else 0.0


def test_evidence_on_rates_is_the_same_in_arrays() -> None:
    chance, points = np.random.default_rng(1), 0
    for share, true in ((0.5, 0.0), (0.1, 0.02), (0.8, -0.3)):
        (counts,) = looks(Setting(0.4, 0.42, share), 20, chance)
        found = binary(counts, share, true)
        for row in range(20):
            for place in range(0, 2000, 12):
                no, yes, other_no, other_yes = counts[row, place]
                table = Table(share, (no, yes), (other_no, other_yes))
                assert binary_evidence([table], true) == pytest.approx(found[row, place], abs=1e-9)
                points += 1
    assert points >= 10_000


def test_evidence_of_ratios_is_the_same_in_arrays() -> None:
    chance = np.random.default_rng(2)
    (counts,) = looks(Setting(0.4, 0.4, 0.3), 20, chance)
    sizes = [counts[..., :2].sum(axis=-1), counts[..., 2:].sum(axis=-1)]
    found = ratio(sizes, (0.7, 0.3))
    for row in range(20):
        for place in range(0, 2000, 4):
            pair = [int(one[row, place]) for one in sizes]
            assert ratio_evidence(pair, (0.7, 0.3)) == pytest.approx(found[row, place], abs=1e-7)


def test_evidence_on_values_is_the_same_in_arrays() -> None:
    chance = np.random.default_rng(3)
    variant, value = chance.random((10, 2000)) < 0.4, chance.exponential(3, (10, 2000))
    found = values(variant, value, ALPHA, LEAST)
    for row in range(10):
        for place in range(400, 2000, 2):
            mine, seen = variant[row, : place + 1], value[row, : place + 1]
            parts = [
                numbers([len(one)], [float(one.sum())], float((one**2).sum()), many=False)
                for one in (seen[~mine], seen[mine])
            ]
            told = difference([Stratum(0.4, *parts)], ALPHA, LEAST, binary=False)
            assert told.evidence == pytest.approx(found[row, place], abs=1e-6)


def test_the_spread_of_buckets_is_the_same_in_arrays() -> None:
    chance = np.random.default_rng(4)
    (batch,) = visits(Crowd(1000, 2), 20, chance)
    for seen in range(100, 2000, 10):
        who, variant, value = (one[:, :seen] for one in batch)
        place = np.where(variant, BUCKETS, 0) + who % BUCKETS
        counts, sums = (
            np.stack(
                [
                    np.bincount(one, weight, 2 * BUCKETS)
                    for one, weight in zip(place, of, strict=True)
                ]
            )
            for of in (np.ones_like(value), value)
        )
        found = spread(counts, sums)
        for row in range(0, 20, 4):
            parts = [
                numbers(list(counts[row, part].astype(int)), list(sums[row, part]), 0, many=True)
                for part in (slice(0, BUCKETS), slice(BUCKETS, None))
            ]
            told = difference([Stratum(0.5, *parts)], ALPHA, LEAST, binary=True)
            figures = (told.estimate, told.fixed.error, told.fixed.freedom)
            assert figures == pytest.approx([one[row] for one in found], abs=1e-12)


def filled(place: np.ndarray, values_of: np.ndarray) -> np.ndarray:
    rows = zip(place, values_of, strict=True)
    return np.stack([np.bincount(one, value, 2 * BUCKETS) for one, value in rows])


def test_where_nothing_differs_verdicts_are_as_rare_as_promised() -> None:
    chance, experiments = np.random.default_rng(5), 200
    found = sum(
        int((binary(counts, 0.5) >= LIMIT).any(axis=1).sum())
        for counts in looks(Setting(0.1, 0.1), experiments, chance)
    )
    assert at_most(found, experiments) <= ALPHA


def test_intervals_hold_the_difference_at_all_times() -> None:
    chance, experiments = np.random.default_rng(6), 200
    missed = sum(
        int((binary(counts, 0.2, 0.03) >= LIMIT).any(axis=1).sum())
        for counts in looks(Setting(0.02, 0.05, 0.2), experiments, chance)
    )
    assert at_most(missed, experiments) <= ALPHA


def test_rates_that_move_for_everybody_are_no_difference() -> None:
    """At night the rate is ten times that of the day; the share changes in the evening."""
    chance, found = np.random.default_rng(7), 0
    for _ in range(100):
        day = next(looks(Setting(0.05, 0.05, 0.1, events=1000), 1, chance))[0]
        night = next(looks(Setting(0.5, 0.5, 0.9, events=1000), 1, chance))[0]
        ended = binary_evidence([table(0.1, day[-1]), table(0.9, night[-1])])
        found += ended >= LIMIT
    assert at_most(found, 100) <= ALPHA


def table(share: float, counts: np.ndarray) -> Table:
    no, yes, other_no, other_yes = counts
    return Table(share, (no, yes), (other_no, other_yes))


def test_users_who_come_ten_times_do_not_make_verdicts() -> None:
    chance, ours = np.random.default_rng(8), []
    for batch in visits(Crowd(400, 10), 100, chance):
        by_buckets, _ = clustered(*batch, 200, ALPHA, LEAST)
        ours.append((by_buckets >= LIMIT).any(axis=1))
    assert at_most(int(np.concatenate(ours).sum()), 100) <= ALPHA


def test_a_splitter_that_is_broken_is_found_and_one_that_is_not_is_left_alone() -> None:
    chance, limit = np.random.default_rng(9), log(2 / RATIO_ALPHA)
    blocked = {}
    for share in (0.5, 0.6):
        setting = Setting(0.1, 0.1, splitter=share)
        sizes = [
            [counts[..., :2].sum(axis=-1), counts[..., 2:].sum(axis=-1)]
            for counts in looks(setting, 100, chance)
        ]
        blocked[share] = sum(
            int((ratio(one, (0.5, 0.5)) >= limit).any(axis=1).sum()) for one in sizes
        )
    assert blocked[0.5] == 0
    assert blocked[0.6] == 100


def test_an_interval_is_what_evidence_leaves() -> None:
    chance = random.Random(10)
    for _ in range(50):
        tables = [
            Table(chance.uniform(0.1, 0.9), *(two(chance) for _ in range(2)))
            for _ in range(chance.choice([1, 3]))
        ]
        low, high = binary_interval(tables, 0.0, ALPHA)
        assert -1 <= low <= high <= 1
        if low == high:
            continue
        assert binary_evidence(tables, (low + high) / 2) < LIMIT
        for end in (low, high):
            if abs(end) < 1:
                assert binary_evidence(tables, end) == pytest.approx(LIMIT, abs=1e-3)


def two(chance: random.Random) -> tuple[int, int]:
    trials = int(10 ** chance.uniform(1, 4))
    yes = round(trials * chance.uniform(0.2, 0.4))
    return trials - yes, yes


def test_no_bet_can_lose_everything() -> None:
    for share in (1e-9, 0.001, 0.5, 0.999, 1 - 1e-9):
        for counts in ((1, 0), (0, 1)):
            for far in (-1.0, 1.0):
                assert binary_evidence([Table(share, counts, counts)], far) > -10


def test_shares_of_nothing_and_of_everything_say_nothing() -> None:
    assert binary_evidence([Table(0.0, (5, 5), (0, 0)), Table(1.0, (0, 0), (9, 0))]) == 0
    assert ratio_evidence([5, 1], [1.0, 0.0]) == float("inf")


def test_a_mixture_is_tightest_where_it_was_tuned() -> None:
    widths = {
        units: normal_limit(prior_of(units, 1000, ALPHA), ALPHA) / units**0.5 * 1000**0.5
        for units in (900, 1000, 1100)
    }
    tuned = normal_limit(prior_of(1000, 1000, ALPHA), ALPHA)
    others = [
        normal_limit(prior_of(1000, tuned_at, ALPHA), ALPHA) for tuned_at in (300, 900, 1100, 4000)
    ]
    assert tuned < min(others)
    assert tuned == pytest.approx(3.03, abs=0.01)
    assert widths[900] > widths[1000] > widths[1100]
    prior = prior_of(1000, 1000, ALPHA)
    assert normal_evidence(tuned, prior) == pytest.approx(LIMIT)
