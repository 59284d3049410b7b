"""Made-up feedback: sums as engines tell them, of outcomes that a test chooses."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from tiltyard_api.experiment import BUCKETS, WHOLE, ExperimentSums, StratumSums, VariantSums
from tiltyard_api.v1alpha1.experiment import Experiment
from tiltyard_core.experiments.arrays import packed, zeros
from tiltyard_core.experiments.sums import Cell, DrawnCell, LabelCell
from tiltyard_core.experiments.units import register

ORIGIN = datetime(2026, 1, 1, tzinfo=UTC)

Outcomes = Mapping[str, Sequence[tuple[int, float]]]
"""By variant: who, and what came of it."""

Rows = Sequence[tuple[float, int]]
"""A score and its label."""


def experiment(kind: str = "binary", **settings: object) -> Experiment:
    """Give an experiment with one metric."""
    metric = {"name": "sold", "kind": kind}
    return Experiment.model_validate({"metrics": [metric], "minUnits": 100} | settings)


def stratum(
    name: str,
    shares: Mapping[str, float],
    outcomes: Outcomes,
    *,
    clustered: bool = False,
    assigned: Outcomes | None = None,
) -> StratumSums:
    """Count outcomes under some shares.

    Args:
        name: of the stratum.
        shares: that were in force.
        outcomes: all that came back.
        clustered: a unit may be there several times.
        assigned: who was given what; None: those who gave feedback.

    """
    users, variants = DrawnCell(), {}
    for variant, who in (assigned or outcomes).items():
        for draw, _ in who:
            users.add(draw, variant)
    for variant, values in outcomes.items():
        cell, places = Cell(clustered=clustered), [0] * BUCKETS
        for draw, value in values:
            cell.add(draw, value)
        for draw, _ in (assigned or outcomes)[variant]:
            places[register(draw)[0]] += 1
        variants[variant] = VariantSums(
            assigned=packed(WHOLE, places),
            drawn=users.told(variant) if clustered else "",
            metrics={"sold": cell.told()},
        )
    return StratumSums(
        id=name,
        since=ORIGIN,
        shares=dict(shares),
        level=users.level if clustered else 0,
        variants=variants,
    )


def rates(
    name: str, shares: Mapping[str, float], found: Mapping[str, tuple[int, int]]
) -> StratumSums:
    """Give a stratum of units and, of these, of those who bought, by variant."""
    variants = {}
    for variant, (units, yes) in found.items():
        nothing = [0] * (BUCKETS - 1)
        cell = Cell(counts=[units, *nothing], sums=[float(yes), *nothing], squares=yes)
        assigned = packed(WHOLE, cell.counts)
        variants[variant] = VariantSums(assigned=assigned, metrics={"sold": cell.told()})
    return StratumSums(id=name, since=ORIGIN, shares=dict(shares), variants=variants)


def labelled(*strata: Rows, threshold: float = 0.5, users: int | None = None) -> ExperimentSums:
    """Give strata of one variant, `x`, whose answers got scores and then labels, by `fraud`.

    Args:
        strata: rows.
        threshold: of the score.
        users: who give the rows in turn; None: each is somebody else's.

    """
    found = []
    for number, rows in enumerate(strata):
        cell = LabelCell(threshold, Cell(clustered=users is not None))
        for at, (score, label) in enumerate(rows):
            cell.add(at % users if users else at, score, label)
        variant = VariantSums(assigned=zeros(WHOLE), metrics={"fraud": cell.told()})
        shares = {"x": 1.0}
        found.append(
            StratumSums(id=str(number), since=ORIGIN, shares=shares, variants={"x": variant})
        )
    return sums(*found)


def sums(*strata: StratumSums, keyed: bool = False) -> ExperimentSums:
    """Give what an engine says of an experiment."""
    return ExperimentSums(id="e", incarnation="i", keyed=keyed, strata=strata)


def sold(chance: random.Random, count: int, rate: float) -> list[tuple[int, float]]:
    """Give as many units as that; of which each buys with a probability."""
    return [(chance.getrandbits(64), float(chance.random() < rate)) for _ in range(count)]


def divided(
    chance: random.Random, count: int, share: float, rates: tuple[float, float]
) -> dict[str, list[tuple[int, float]]]:
    """Divide units between a control and a variant, `old` and `new`, by chance."""
    mine = sum(chance.random() < share for _ in range(count))
    return {"old": sold(chance, count - mine, rates[0]), "new": sold(chance, mine, rates[1])}
