"""The tests that hold however often they are looked at, against scipy and by playing them."""

import random
from math import log

import numpy as np
import pytest
from scipy.special import betaln
from scipy.stats import binomtest

from streams import log_evidence as oracle
from tiltyard_core.evidence import least_share, log_evidence, most_share, null_share

SHARES = [0.001, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.999]


@pytest.mark.parametrize("share", SHARES)
def test_log_evidence_is_that_of_scipy(share: float) -> None:
    chance = random.Random(f"{share}")
    for _ in range(2000):
        both = int(10 ** chance.uniform(0, 5))
        candidate = min(both, int(both * share * chance.uniform(0, 3)))
        a, b = 10 * share, 10 * (1 - share)
        mixture = float(betaln(candidate + a, both - candidate + b) - betaln(a, b))
        wanted = mixture - candidate * log(share) - (both - candidate) * log(1 - share)
        assert log_evidence(candidate, both, share) == pytest.approx(wanted, rel=0, abs=1e-9)


def test_nothing_seen_is_no_evidence() -> None:
    assert all(log_evidence(0, 0, share) == pytest.approx(0, abs=1e-12) for share in SHARES)
    assert all(log_evidence(1, 1, share) == pytest.approx(0, abs=1e-12) for share in SHARES)


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("margin", [0, 0.5, 2])
def test_the_margin_is_how_much_more_often_the_candidate_may_fail(
    share: float, margin: float
) -> None:
    stable_rate, candidate_rate = 0.01, 0.01 * (1 + margin)
    bad = share * candidate_rate / (share * candidate_rate + (1 - share) * stable_rate)
    assert null_share(share, margin) == pytest.approx(bad)


def streams_that_differ(count: int, seed: int) -> int:
    """Streams of bad units of which this code and scipy's form do not say the same."""
    chance = np.random.default_rng(seed)
    shares = chance.choice([0.01, 0.05, 0.25, 0.5, 0.9], count)
    margins = chance.choice([0.0, 0.5], count)
    truths = np.clip(shares * chance.choice([1, 1.5, 3, 8], count), 0, 1)
    limit = log(1 / 0.01)
    different = 0
    for share, margin, truth in zip(shares, margins, truths, strict=True):
        mine = chance.random(120) < truth
        bad, both = mine.cumsum(), np.arange(1, 121)
        expected = null_share(float(share), float(margin))
        theirs = oracle(bad, both, np.asarray(expected)) >= limit
        ours = [
            log_evidence(k, n, expected) >= limit
            for k, n in zip(bad.tolist(), both.tolist(), strict=True)
        ]
        different += ours != theirs.tolist()
    return different


def test_verdicts_are_those_of_scipys_form_at_every_look() -> None:
    assert streams_that_differ(2_000, seed=1) == 0


@pytest.mark.full
@pytest.mark.timeout(900)
def test_verdicts_are_those_of_scipys_form_on_a_hundred_thousand_streams() -> None:
    assert streams_that_differ(100_000, seed=2) == 0


@pytest.mark.parametrize(("bad", "units"), [(0, 50), (1, 50), (5, 100), (50, 100), (990, 1000)])
def test_bounds_hold_the_share_and_are_wider_than_those_of_one_look(bad: int, units: int) -> None:
    low, high = least_share(bad, units, 0.025), most_share(bad, units, 0.025)
    once = binomtest(bad, units).proportion_ci(0.95, "exact")
    assert 0 <= low <= once.low + 1e-12
    assert once.high - 1e-12 <= high <= 1
    assert low <= bad / units <= high


def test_bounds_close_in_on_the_share() -> None:
    assert most_share(100, 10_000, 0.025) < 0.0155
    assert least_share(100, 10_000, 0.025) > 0.006


@pytest.mark.parametrize("share", [0.01, 0.3])
def test_bounds_are_seldom_ever_wrong_though_looked_at_after_every_unit(share: float) -> None:
    chance, wrong, alpha = random.Random(7), 0, 0.1
    for _ in range(200):
        bad = 0
        for units in range(1, 300):
            bad += chance.random() < share
            if units % 7 == 0 and most_share(bad, units, alpha) < share:
                wrong += 1
                break
    assert wrong <= 200 * alpha
