"""Everything for one look at the end, held against scipy and statsmodels."""

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import proportion_confint, proportions_ztest

from tiltyard_core.experiments.fixed import (
    Sample,
    power,
    sample_size,
    sign_test,
    two_proportions,
    welch,
    wilson,
)
from tiltyard_core.experiments.special import as_normal, as_student, beta_share, student_p

TABLES = 1000


def rates(successes: int, trials: int) -> Sample:
    return Sample(trials, successes / trials, 0.0)


def sizes(chance: np.random.Generator) -> list[int]:
    return [int(10 ** chance.uniform(1, 6)) for _ in range(2)]


def test_the_example_of_a_hundred_and_a_hundred_and_twenty_of_a_thousand() -> None:
    found = two_proportions([(rates(100, 1000), rates(120, 1000))])
    assert f"{found.statistic:.3f}" == "1.429"
    assert f"{found.p:.4f}" == "0.1529"


def test_two_proportions_are_those_of_statsmodels() -> None:
    chance = np.random.default_rng(1)
    for _ in range(TABLES):
        trials, rate = sizes(chance), chance.uniform(0.01, 0.99)
        successes = [max(1, int(chance.binomial(one, rate))) for one in trials]
        found = two_proportions([(rates(successes[0], trials[0]), rates(successes[1], trials[1]))])
        if successes[0] == trials[0] and successes[1] == trials[1]:
            continue
        z, p = proportions_ztest(successes[::-1], trials[::-1])
        assert found.statistic == pytest.approx(z, rel=1e-9, abs=1e-9)
        assert found.p == pytest.approx(p, rel=1e-9, abs=1e-300)


def test_welch_is_that_of_scipy() -> None:
    chance = np.random.default_rng(2)
    for _ in range(TABLES):
        one, other = (
            chance.normal(chance.normal(), chance.uniform(0.1, 9), int(chance.integers(2, 400)))
            for _ in range(2)
        )
        pair = tuple(Sample(len(x), float(x.mean()), float(x.var(ddof=1))) for x in (one, other))
        found, theirs = welch([(pair[0], pair[1])]), stats.ttest_ind(other, one, equal_var=False)
        assert found.statistic == pytest.approx(theirs.statistic, rel=1e-9, abs=1e-12)
        assert found.p == pytest.approx(theirs.pvalue, rel=1e-8, abs=1e-250)


def test_sign_tests_are_those_of_scipy() -> None:
    chance = np.random.default_rng(3)
    for _ in range(TABLES):
        trials = int(10 ** chance.uniform(0, 4.5))
        first = int(chance.binomial(trials, chance.uniform(0.4, 0.6)))
        theirs = stats.binomtest(first, trials).pvalue
        assert sign_test(first, trials - first).p == pytest.approx(theirs, rel=1e-7)


def test_intervals_of_shares_are_those_of_statsmodels() -> None:
    chance = np.random.default_rng(4)
    for _ in range(TABLES):
        trials = int(10 ** chance.uniform(0, 6))
        found = int(chance.integers(0, trials + 1))
        alpha = float(chance.choice([0.1, 0.05, 0.01, 0.001]))
        theirs = proportion_confint(found, trials, alpha, "wilson")
        assert wilson(found, trials, alpha) == pytest.approx(theirs, abs=1e-12)


def test_power_and_sample_sizes_are_those_of_statsmodels() -> None:
    chance, theirs = np.random.default_rng(5), NormalIndPower()
    for _ in range(TABLES):
        effect, units = 10 ** chance.uniform(-2, 0), 10 ** chance.uniform(1, 5)
        alpha = float(chance.choice([0.1, 0.05, 0.01]))
        error = (2 / units) ** 0.5
        expected = theirs.power(effect, units, alpha)
        assert power(effect, error, alpha) == pytest.approx(expected, abs=1e-12)
        # ours leaves out the wrong tail, which is nothing at any power that one would want
        needed = theirs.solve_power(effect, None, alpha, 0.8)
        assert sample_size(effect, 1.0, alpha, 0.8) == pytest.approx(needed, rel=1e-3, abs=1)


def test_the_incomplete_beta_ratio_is_that_of_scipy() -> None:
    chance = np.random.default_rng(6)
    for _ in range(TABLES):
        a, b = 10 ** chance.uniform(-1, 5, 2)
        x = float(chance.beta(a, b))
        theirs = special.betainc(a, b, x)
        assert beta_share(a, b, x) == pytest.approx(theirs, rel=1e-7, abs=1e-12)
    assert (beta_share(2, 3, 0), beta_share(2, 3, 1)) == (0, 1)


@pytest.mark.parametrize("freedom", [3, 30, 127, 10_000])
@pytest.mark.parametrize("t", [0.5, 2, 4, 6])
def test_t_and_z_are_as_unlikely_as_each_other(freedom: float, t: float) -> None:
    z = as_normal(t, freedom)
    assert as_student(z, freedom) == pytest.approx(t)
    expected = stats.norm.isf(student_p(t, freedom) / 2)
    assert z == pytest.approx(expected, rel=0.02 if freedom < 10 else 0.001)


def strata() -> tuple[list[tuple[Sample, Sample]], list[int]]:
    """In each stratum the variant is better; it got most units where everything went badly."""
    good = rates(810, 900), rates(95, 100)
    bad = rates(10, 100), rates(180, 900)
    return [good, bad], [900 + 100, 100 + 900]


def test_what_holds_in_each_stratum_holds_over_them() -> None:
    pairs, _ = strata()
    control = sum(a.mean * a.count for a, _ in pairs) / sum(a.count for a, _ in pairs)
    variant = sum(b.mean * b.count for _, b in pairs) / sum(b.count for _, b in pairs)
    assert variant < control - 0.5  # pooled, the better variant looks far worse
    assert two_proportions(pairs).statistic > 2


def test_strata_are_combined_as_cochran_does() -> None:
    pairs, totals = strata()
    above = below = 0.0
    for (a, b), total in zip(pairs, totals, strict=True):
        successes = a.mean * a.count + b.mean * b.count
        above += b.mean * b.count - b.count * successes / total
        below += a.count * b.count * successes * (total - successes) / total**3
    assert two_proportions(pairs).statistic == pytest.approx(above / below**0.5)


def test_values_that_are_all_the_same_are_no_riddle() -> None:
    same = Sample(10, 3.0, 0.0)
    assert welch([(same, same)]).statistic == 0
    assert two_proportions([(rates(0, 5), rates(0, 9))]).p == 1
