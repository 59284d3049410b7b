import pytest
from statsmodels.stats.proportion import proportion_confint

from tiltyard_api.figures import Confusion, Histogram, VariantFigures
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


def test_flips_are_added_up_and_have_intervals_of_their_own() -> None:
    def told(*counts: int) -> VariantFigures:
        names = ("both_above", "both_below", "false_negatives", "false_positives")
        confusion = Confusion(**dict(zip(names, counts, strict=True)))
        return figures((0, 0, 0, 0), 0).model_copy(update={"confusion": confusion})

    parts = [told(10, 50, 5, 0), told(5, 25, 0, 5), figures((0, 0, 0, 0), 0)]
    found = beside("alarm", ("gb", []), ("mlp", parts)).flips
    assert found is not None
    assert (found.both_above, found.both_below) == (15, 75)
    for rate, (count, of) in {
        found.flips: (10, 100),
        found.false_negatives: (5, 20),
        found.false_positives: (5, 80),
    }.items():
        assert (rate.count, rate.of, rate.rate) == (count, of, count / of)
        assert (rate.low, rate.high) == pytest.approx(proportion_confint(count, of, 0.05, "wilson"))
    nothing = beside("alarm", ("gb", []), ("mlp", [told(0, 3, 0, 0)])).flips
    assert nothing is not None
    assert (nothing.false_negatives.rate, nothing.false_negatives.high) == (None, 1)
    assert beside("alarm", ("gb", []), ("mlp", [figures((0, 0, 0, 0), 0)])).flips is None


def test_a_challenger_that_was_never_compared_has_no_rate() -> None:
    found = beside("alarm", ("gb", []), ("mlp", [figures((0, 0, 0, 0), 0, compared=0, matched=0)]))
    assert (found.rate, found.low, found.high) == (None, 0, 1)
    assert found.times.mean is None
    assert found.champion_times.calls == 0
