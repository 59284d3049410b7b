import random

import pytest
from scipy import stats

from feedback import Rows, labelled
from tiltyard_api.experiment import BINS
from tiltyard_api.v1alpha1.verdict import LabelQuality
from tiltyard_core.experiments.labels import area, quality
from tiltyard_core.experiments.sums import score_bin


def rows(seed: int, count: int, apart: float) -> Rows:
    """Scores and labels; the scores of ones are higher by about so much."""
    chance = random.Random(seed)
    labels = [int(chance.random() < 0.3) for _ in range(count)]
    return [(min(1.0, max(0.0, chance.gauss(0.4 + apart * one, 0.2))), one) for one in labels]


def figures(*strata: Rows, threshold: float = 0.5) -> LabelQuality:
    found = quality(labelled(*strata, threshold=threshold), "fraud", "x")
    assert found
    return found


@pytest.mark.parametrize("apart", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("count", [50, 3000])
def test_the_area_is_the_share_of_pairs_in_order_within_what_it_says(
    apart: float, count: int
) -> None:
    every = rows(1, count, apart)
    found = figures(every)
    no, yes = ([score for score, label in every if label == which] for which in (0, 1))
    exact = stats.mannwhitneyu(yes, no).statistic / (len(yes) * len(no))
    assert found.roc_auc is not None
    assert found.roc_auc_error is not None
    assert abs(found.roc_auc - exact) <= found.roc_auc_error + 1e-12
    assert found.roc_auc_error < 0.01


def test_scores_that_tell_everything_and_nothing() -> None:
    first, last = ([1] + [0] * (BINS - 1), [0] * (BINS - 1) + [1])
    perfect, reverse, same = area(first, last), area(last, first), area(first, first)
    assert (perfect and perfect.value, reverse and reverse.value) == (1, 0)
    assert (same and same.value, same and same.error) == (0.5, 0.5)
    assert area(first, [0] * BINS) is None


def test_a_threshold_makes_a_confusion_matrix_over_all_strata() -> None:
    one: Rows = [(0.9, 1), (0.8, 1), (0.7, 0), (0.2, 0)]
    other: Rows = [(0.1, 1), (0.2, 0), (0.3, 0), (0.95, 1)]
    found = figures(one, other, threshold=0.6)
    assert found.values == 8
    assert found.accuracy == 6 / 8
    assert found.precision == 3 / 4
    assert found.recall == 3 / 4
    assert found.f1 == 3 / 4


def test_what_cannot_be_divided_is_not_told() -> None:
    found = figures([(0.1, 0), (0.2, 0)])
    assert (found.accuracy, found.precision, found.recall, found.f1) == (1, None, None, None)
    assert found.roc_auc is None
    assert set(found.fixed_intervals or {}) == {"accuracy"}
    assert quality(labelled([(0.1, 0)]), "fraud", "y") is None
    assert quality(labelled([(0.1, 0)]), "other", "x") is None


def test_scores_beyond_the_bins_are_known_to_be_in_the_last() -> None:
    assert score_bin(1.7) == score_bin(1.0) == BINS - 1
    every = [(n / 10, int(n > 30)) for n in range(40)]
    found = figures(every)
    assert found.roc_auc is not None
    assert found.roc_auc_error is not None
    assert abs(found.roc_auc - 1.0) <= found.roc_auc_error + 1e-12
