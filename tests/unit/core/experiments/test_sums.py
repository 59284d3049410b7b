import random
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from tiltyard_api.experiment import (
    BINS,
    BUCKETS,
    MOST_DRAWN,
    MOST_WINS,
    WHOLE,
    ExperimentSums,
    MetricSums,
    StratumSums,
    VariantSums,
)
from tiltyard_core.experiments.arrays import reals, unpacked, whole, zeros
from tiltyard_core.experiments.sums import (
    Cell,
    DrawnCell,
    LabelCell,
    WinCell,
    merged,
    nets,
    score_bin,
)
from tiltyard_core.experiments.units import distinct, register
from tiltyard_core.units import sampled

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)


def told(cell: Cell, incarnation: str = "a", stratum: str = "even") -> ExperimentSums:
    variant = VariantSums(assigned=zeros(WHOLE), metrics={"sold": cell.told()})
    one = StratumSums(id=stratum, since=ORIGIN, shares={"x": 1.0}, variants={"x": variant})
    return ExperimentSums(id="e", incarnation=incarnation, keyed=False, strata=(one,))


def of(sums: ExperimentSums | None) -> MetricSums:
    assert sums
    return sums.strata[0].variants["x"].metrics["sold"]


def test_what_two_engines_counted_is_what_one_would_have_counted() -> None:
    chance = random.Random(1)
    alone, parts = Cell(), [Cell(), Cell(), Cell()]
    for _ in range(5000):
        draw, value = chance.getrandbits(64), float(chance.randrange(100))
        alone.add(draw, value)
        chance.choice(parts).add(draw, value)
    both = merged([told(one, str(number)) for number, one in enumerate(parts)])
    assert of(both) == alone.told()
    assert sum(whole(of(both).counts)) == 5000


def test_a_unit_stays_in_its_bucket_whatever_its_variant() -> None:
    cell = Cell()
    for value in (1.0, 0.0, 1.0):
        cell.add(17, value)
    place, _ = register(17)
    assert cell.counts[place] == 3
    assert reals(cell.told().sums)[place] == 2.0
    # half of all draws go to one variant: its units must be in every bucket
    low = {register(n << 40)[0] for n in range(2000)}
    assert len(low) == BUCKETS


def test_strata_are_kept_apart_in_the_order_in_which_they_were_in_force() -> None:
    cell = Cell()
    cell.add(1, 1.0)
    later = told(cell, "a", "late")
    late = later.strata[0].model_copy(update={"since": datetime(2026, 1, 2, tzinfo=UTC)})
    both = merged([later.model_copy(update={"strata": (late,)}), told(cell, "b", "early")])
    assert both
    assert [one.id for one in both.strata] == ["early", "late"]
    assert merged([]) is None


def test_one_engine_that_saw_several_values_of_a_unit_is_enough() -> None:
    assert of(merged([told(Cell(clustered=True)), told(Cell(), "b")])).clustered


@pytest.mark.parametrize("units", [0, 1, 50, 300, 1000, 20_000])
def test_the_number_of_units_is_about_right_however_often_each_comes(units: int) -> None:
    chance, errors = random.Random(units), []
    for _ in range(20):
        cell = Cell()
        for _ in range(units):
            draw = chance.getrandbits(64)
            cell.add(draw, 1.0)
            cell.add(draw, 1.0)
        errors.append(distinct(cell.registers) / units - 1 if units else distinct(cell.registers))
    assert abs(sum(errors) / len(errors)) < 0.06
    assert max(map(abs, errors)) < 0.3


@pytest.mark.parametrize(
    ("score", "found"),
    [(0, 0), (-3, 0), (0.5, BINS // 2), (1, BINS - 1), (7.5, BINS - 1), (1 / BINS, 1)],
)
def test_scores_have_bins_of_equal_width(score: float, found: int) -> None:
    assert score_bin(score) == found


def test_labels_are_compared_with_predictions() -> None:
    cell = LabelCell(threshold=0.5)
    for score, label in ((0.1, 0), (0.9, 0), (0.4, 1), (0.5, 1), (0.8, 1)):
        cell.add(3, score, label)
    found = cell.told()
    assert found.label
    assert unpacked(WHOLE, found.label.confusion)[register(3)[0] :: BUCKETS] == [1, 1, 1, 2]
    assert sum(unpacked(WHOLE, found.label.confusion)) == 5
    assert sum(reals(found.sums)) == 3  # right predictions
    scores = unpacked(WHOLE, found.label.scores)
    assert (sum(scores[:BINS]), sum(scores[BINS:])) == (2, 3)


def test_wins_of_one_unit_at_two_engines_count_once() -> None:
    first, second = WinCell(), WinCell()
    first.add(5, 1, 0)
    second.add(5, 1, 1)
    second.add(6, 2, 1)
    stratum = told(Cell()).strata[0]
    parts = [
        told(Cell(), str(number)).model_copy(
            update={"strata": (stratum.model_copy(update={"wins": {"sold": one.told()}}),)}
        )
        for number, one in enumerate((first, second))
    ]
    both = merged(parts)
    assert both
    assert nets(both.strata[0].wins["sold"]) == {5: 0, 6: -2}


def test_of_too_many_units_a_sample_is_kept() -> None:
    cell = WinCell()
    for draw in range(3 * MOST_WINS):
        cell.add(draw << 32, 1, draw % 2)
    found = cell.told()
    assert found.level == 2
    kept = nets(found)
    assert MOST_WINS // 4 < len(kept) <= MOST_WINS
    assert all(sampled(one, found.level) for one in kept)
    assert sum(sampled(one << 32, found.level) for one in range(3 * MOST_WINS)) == len(kept)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("counts", zeros(WHOLE, 3), "counts has 24 bytes"),
        ("sums", "???", "sums is no base64"),
        ("squares", -1.0, "greater than or equal to 0"),
    ],
)
def test_sums_that_were_cut_are_refused(field: str, value: object, words: str) -> None:
    whole_one = Cell().told().model_dump()
    with pytest.raises(ValidationError, match=words.replace("?", ".")):
        MetricSums.model_validate(whole_one | {field: value})


def test_users_are_told_apart_until_there_are_too_many() -> None:
    parts = [DrawnCell(), DrawnCell()]
    for draw in range(MOST_DRAWN):
        parts[draw % 2].add(draw << 40, "x")
        parts[0].add(draw << 40, "x")
    whole_ones = []
    for number, one in enumerate(parts):
        sums = told(Cell(), str(number))
        variant = sums.strata[0].variants["x"].model_copy(update={"drawn": one.told("x")})
        stratum = sums.strata[0].model_copy(update={"variants": {"x": variant}})
        whole_ones.append(sums.model_copy(update={"strata": (stratum,)}))
    both = merged(whole_ones)
    assert both
    assert both.strata[0].level == 0
    assert len(unpacked(WHOLE, both.strata[0].variants["x"].drawn)) == MOST_DRAWN
    parts[0].add(MOST_DRAWN << 40, "x")
    assert parts[0].level == 1
    assert all(sampled(one, 1) for one in parts[0].users)
