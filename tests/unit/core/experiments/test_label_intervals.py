"""Intervals of what labels say of scores: beside statsmodels, bootstraps, and the truth."""

from math import sqrt

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit
from statsmodels.stats.proportion import proportion_confint

from scored import THRESHOLD, Labels, Scores, drawn, held, told
from tiltyard_api.v1alpha1.verdict import Interval, LabelQuality
from tiltyard_core.experiments.labels import area
from tiltyard_core.experiments.special import normal_quantile

FIGURES = ("accuracy", "precision", "recall", "f1")
RESAMPLES = 2000
CLOSE = 0.15
"""Two intervals are alike if their ends are nearer than this part of their width."""


def interval(found: LabelQuality, figure: str) -> Interval:
    assert found.fixed_intervals
    return found.fixed_intervals[figure]


def sides(scores: Scores, labels: Labels) -> NDArray[np.int64]:
    """True negatives, false positives, false negatives and true positives, a row of each."""
    return np.eye(4, dtype=int)[2 * labels + (scores >= THRESHOLD)]


def of_sides(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Figures of many confusions."""
    tn, fp, fn, tp = counts.T
    return {
        "accuracy": (tp + tn) / counts.sum(axis=1),
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }


def assert_alike(found: Interval, low: float, high: float) -> None:
    near = CLOSE * (high - low)
    assert (found.low, found.high) == (pytest.approx(low, abs=near), pytest.approx(high, abs=near))


def test_shares_of_rows_have_the_intervals_of_statsmodels() -> None:
    scores, labels = drawn(np.random.default_rng(1), 700)
    found = told(scores, labels)
    tn, fp, fn, tp = sides(scores, labels).sum(axis=0).tolist()
    shares = {
        "accuracy": (tp + tn, len(labels)),
        "precision": (tp, tp + fp),
        "recall": (tp, tp + fn),
    }
    for figure, (part, whole) in shares.items():
        ends = interval(found, figure)
        expected = proportion_confint(part, whole, method="wilson")
        assert (ends.low, ends.high) == pytest.approx(expected)


def test_f1_has_the_interval_of_a_bootstrap() -> None:
    chance = np.random.default_rng(2)
    scores, labels = drawn(chance, 700)
    counts = sides(scores, labels).sum(axis=0)
    again = chance.multinomial(len(labels), counts / len(labels), RESAMPLES)
    low, high = np.quantile(of_sides(again)["f1"], (0.025, 0.975))
    assert_alike(interval(told(scores, labels), "f1"), low, high)


@pytest.mark.parametrize("rows", [200, 1000])
def test_the_area_has_the_interval_of_delong_and_of_a_bootstrap(rows: int) -> None:
    chance = np.random.default_rng(3)
    scores, labels = drawn(chance, rows)
    zeros, ones = scores[labels == 0], scores[labels == 1]
    order = (ones[:, None] > zeros[None, :]) + 0.5 * (ones[:, None] == zeros[None, :])
    found, mean = interval(told(scores, labels), "rocAuc"), order.mean()
    variance = order.mean(axis=1).var(ddof=1) / len(ones)
    variance += order.mean(axis=0).var(ddof=1) / len(zeros)
    half = normal_quantile(0.975) * sqrt(variance) / mean / (1 - mean)
    assert_alike(found, expit(logit(mean) - half), expit(logit(mean) + half))
    picked, others = (
        chance.multinomial(many, np.full(many, 1 / many), RESAMPLES)
        for many in (len(ones), len(zeros))
    )
    means = (picked @ order * others).sum(axis=1) / order.size
    low, high = np.quantile(means, (0.025, 0.975))
    assert_alike(found, low, high)


def test_users_who_come_again_have_the_intervals_of_a_bootstrap_of_users() -> None:
    chance, users, each = np.random.default_rng(4), 400, 8
    scores, labels = drawn(chance, users * each, users)
    by_user = sides(scores, labels).reshape(each, users, 4).sum(axis=0)
    picked = chance.integers(users, size=(RESAMPLES, users))
    again = of_sides(by_user[picked].sum(axis=1))
    found = told(scores, labels, users)
    for figure in FIGURES:
        low, high = np.quantile(again[figure], (0.025, 0.975))
        assert_alike(interval(found, figure), low, high)
    assert found.roc_auc is not None
    assert set(found.fixed_intervals or {}) == set(FIGURES)  # DeLong's are of independent rows


@pytest.mark.parametrize(("rows", "users"), [(60, None), (400, None), (800, 100)])
def test_intervals_hold_the_truth_as_often_as_they_say(rows: int, users: int | None) -> None:
    experiments = 200
    found = list(held(rows, users, experiments, 5))
    assert set(found[0]) == {*FIGURES} | (set() if users else {"rocAuc"})
    least = stats.binom.ppf(0.01, experiments, 0.95)
    assert [name for name in found[0] if sum(one[name] for one in found) < least] == []


def test_scores_that_are_all_in_order_are_no_proof() -> None:
    perfect = area([5] + [0] * 255, [0] * 255 + [7])
    assert perfect
    assert (perfect.value, perfect.error, perfect.high) == (1, 0, 1)
    assert perfect.low == pytest.approx(proportion_confint(5, 5, method="wilson")[0])


def test_the_interval_of_the_area_bears_what_bins_hide() -> None:
    nothing = area([500] + [0] * 255, [500] + [0] * 255)
    assert nothing
    assert (nothing.value, nothing.error) == (0.5, 0.5)
    assert (nothing.low, nothing.high) == (0, 1)


def test_a_few_users_have_no_intervals() -> None:
    found = told(*drawn(np.random.default_rng(6), 400, 10), 10)
    assert found.accuracy is not None
    assert found.fixed_intervals is None
