"""Quantiles of histograms, beside the very observations that went into them."""

from bisect import bisect_left
from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard_api.figures import Histogram, VariantFigures
from tiltyard_core.figures import Fares, fares
from tiltyard_core.histograms import mean, merged, quantile

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025)


def of(observations: list[float], bounds: tuple[float, ...] = BOUNDS) -> Histogram:
    counts = [0] * (len(bounds) + 1)
    for one in observations:
        counts[bisect_left(bounds, one)] += 1
    return Histogram(bounds=bounds, counts=tuple(counts), sum=sum(observations))


# counts, share, seconds: worked out by the rule of Prometheus' histogram_quantile
READ_OFF = [
    ((10, 0, 0, 0, 0, 0), 0.5, 0.0005),
    ((10, 0, 0, 0, 0, 0), 1.0, 0.001),
    ((10, 10, 0, 0, 0, 0), 0.5, 0.001),
    ((10, 10, 0, 0, 0, 0), 0.75, 0.00175),
    ((0, 0, 0, 4, 0, 0), 0.5, 0.0075),
    ((98, 0, 0, 0, 2, 0), 0.99, 0.0175),
    ((0, 0, 0, 0, 0, 3), 0.5, 0.025),
    ((99, 0, 0, 0, 0, 1), 0.995, 0.025),
    ((0, 5, 0, 0, 0, 0), 0.0, 0.001),
]


@pytest.mark.parametrize(("counts", "share", "seconds"), READ_OFF)
def test_quantiles_are_read_off_as_prometheus_does(
    counts: tuple[int, ...], share: float, seconds: float
) -> None:
    found = quantile(Histogram(bounds=BOUNDS, counts=counts, sum=0), share)
    assert found == pytest.approx(seconds)


@given(
    st.lists(st.lists(st.floats(1e-5, 0.02499), max_size=40), min_size=1, max_size=4),
    st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.95, 0.99]),
)
def test_a_quantile_of_several_engines_lies_in_the_bucket_of_the_true_one(
    engines: list[list[float]], share: float
) -> None:
    every = sorted(one for engine in engines for one in engine)
    whole = merged([of(one) for one in engines])
    assert whole
    assert whole.counts == of(every).counts
    found = quantile(whole, share)
    if not every:
        assert found is None
        return
    assert found is not None
    true = every[max(0, ceil(share * len(every)) - 1)]
    bucket = bisect_left(BOUNDS, true)
    low = BOUNDS[bucket - 1] if bucket else 0
    assert low - 1e-12 <= found <= BOUNDS[bucket] + 1e-12


def test_engines_with_other_buckets_are_added_up_in_those_that_they_share() -> None:
    random = Random(7)
    older = [random.expovariate(200) for _ in range(300)]
    newer = [random.expovariate(200) for _ in range(200)]
    both = merged([of(older), of(newer, (0.0005, 0.0025, 0.01, 0.1))])
    assert both
    assert both.bounds == (0.0025, 0.01)
    assert both.counts == of([*older, *newer], both.bounds).counts
    assert mean(both) == pytest.approx(sum(older + newer) / 500)


def test_engines_that_share_no_bucket_give_no_quantile_but_a_mean() -> None:
    both = merged([of([0.002], (0.001,)), of([0.004], (0.005,))])
    assert both
    assert quantile(both, 0.5) is None
    assert mean(both) == pytest.approx(0.003)


def test_nothing_is_made_up_where_nothing_was_observed() -> None:
    assert merged([]) is None
    assert quantile(of([]), 0.5) is None
    assert mean(of([])) is None
    assert fares([]) == Fares(0, None, None, None, None)


def told(
    times: list[float], errors: int = 0, compared: int = 0, matched: int = 0
) -> VariantFigures:
    return VariantFigures(
        requests=len(times),
        rows=len(times),
        errors=errors,
        seconds=of(times),
        compared=compared,
        matched=matched,
    )


def test_rates_are_those_of_all_engines_and_no_mean_of_rates() -> None:
    found = fares([told([0.004] * 90, 0, 1000, 990), told([0.02] * 10, 5, 10, 0)])
    assert (found.requests, found.error_share) == (100, 0.05)
    assert found.match_rate == round(990 / 1010, 6)
    assert found.p50 is not None
    assert found.p99 is not None
    assert 0.0025 <= found.p50 <= 0.005
    assert 0.01 <= found.p99 <= 0.025


@pytest.mark.parametrize(
    "wrong",
    [
        {"bounds": (1.0,), "counts": (1,), "sum": 0},
        {"bounds": (2.0, 1.0), "counts": (1, 1, 1), "sum": 0},
        {"bounds": (1.0, 1.0), "counts": (1, 1, 1), "sum": 0},
        {"bounds": (1.0,), "counts": (1, -1), "sum": 0},
    ],
)
def test_a_histogram_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bounds|counts"):
        Histogram.model_validate(wrong)
