import pytest
from statsmodels.stats.proportion import proportion_confint

from tiltyard_api.figures import Histogram, VariantFigures
from tiltyard_core.experiments.shadow import beside


def figures(counts: tuple[int, ...], seconds: float, **told: int) -> VariantFigures:
    histogram = Histogram(bounds=(0.001, 0.01, 0.1), counts=counts, sum=seconds)
    return VariantFigures(
        requests=sum(counts), rows=sum(counts), errors=0, seconds=histogram, **told
    )


def test_engines_are_added_up_before_anything_is_divided() -> None:
    """One engine compared ten rows, the other ninety."""
    champion = [figures((10, 0, 0, 0), 0.005), figures((90, 0, 0, 0), 0.045)]
    challenger = [
        figures((0, 10, 0, 0), 0.05, compared=10, matched=1),
        figures((0, 85, 5, 0), 0.75, compared=90, matched=89),
    ]
    found = beside("alarm", ("gb", champion), ("mlp", challenger))
    assert (found.compared, found.matched, found.rate) == (100, 90, 0.9)
    assert (found.low, found.high) == pytest.approx(proportion_confint(90, 100, 0.05, "wilson"))
    assert found.champion_times.mean == pytest.approx(0.0005)
    assert found.times.calls == 100
    assert found.times.mean == pytest.approx(0.008)
    assert found.times.median == pytest.approx(0.001 + 0.009 * 50 / 95)
    assert found.times.p95 == pytest.approx(0.01)
    assert found.times.p99 == pytest.approx(0.01 + 0.09 * 4 / 5)


def test_a_challenger_that_was_never_compared_has_no_rate() -> None:
    found = beside("alarm", ("gb", []), ("mlp", [figures((0, 0, 0, 0), 0, compared=0, matched=0)]))
    assert (found.rate, found.low, found.high) == (None, 0, 1)
    assert found.times.mean is None
    assert found.champion_times.calls == 0
