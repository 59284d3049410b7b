"""Sums of feedback: add one value, merge those of several engines, in any order."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from tiltyard_api.experiment import (
    BINS,
    BUCKETS,
    BYTE,
    MOST_DRAWN,
    MOST_STRATA,
    MOST_WINS,
    NET,
    REAL,
    WHOLE,
    ExperimentSums,
    LabelSums,
    MetricSums,
    StratumSums,
    VariantSums,
    WinSums,
)
from tiltyard_core.experiments.arrays import added, highest, packed, unpacked
from tiltyard_core.experiments.units import register
from tiltyard_core.units import sampled

ALL = "all"
"""Incarnation of what unites all engines."""


def score_bin(score: float) -> int:
    """Bin of a score; what lies beyond 0 and 1 is in the first or the last."""
    return min(BINS - 1, max(0, int(BINS * min(1.0, max(0.0, score)))))


@dataclass(slots=True)
class Cell:
    """One metric of one variant in one stratum, while it is counted."""

    clustered: bool = False
    counts: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    sums: list[float] = field(default_factory=lambda: [0.0] * BUCKETS)
    registers: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    squares: float = 0.0

    def add(self, draw: int, value: float) -> None:
        """Add a value that is of a unit."""
        place, rank = register(draw)
        self.counts[place] += 1
        self.sums[place] += value
        self.registers[place] = max(self.registers[place], rank)
        self.squares += value * value

    def told(self, label: LabelSums | None = None) -> MetricSums:
        """Say what was counted."""
        return MetricSums(
            counts=packed(WHOLE, self.counts),
            sums=packed(REAL, self.sums),
            registers=packed(BYTE, self.registers),
            squares=self.squares,
            clustered=self.clustered,
            label=label,
        )


@dataclass(slots=True)
class LabelCell:
    """What labels say of scores, beside whether predictions were right, while it is counted."""

    threshold: float
    cell: Cell = field(default_factory=Cell)
    scores: list[int] = field(default_factory=lambda: [0] * (2 * BINS))
    confusion: list[int] = field(default_factory=lambda: [0] * (4 * BUCKETS))

    def add(self, draw: int, score: float, label: int) -> None:
        """Add a label, 0 or 1, of a row that got a score."""
        predicted = int(score >= self.threshold)
        self.cell.add(draw, float(predicted == label))
        self.scores[label * BINS + score_bin(score)] += 1
        self.confusion[(2 * label + predicted) * BUCKETS + register(draw)[0]] += 1

    def told(self) -> MetricSums:
        """Say what was counted."""
        scores, confusion = (packed(WHOLE, one) for one in (self.scores, self.confusion))
        return self.cell.told(LabelSums(scores=scores, confusion=confusion))


@dataclass(slots=True)
class WinCell:
    """Which ranker units prefer by one metric in one stratum, while it is counted."""

    level: int = 0
    nets: dict[int, int] = field(default_factory=dict)

    def add(self, draw: int, value: int, team: int) -> None:
        """Credit a ranker, 0 or 1, with what a unit did at one of its places."""
        if self.level and not sampled(draw, self.level):
            return
        self.nets[draw] = self.nets.get(draw, 0) + (value if team == 0 else -value)
        while len(self.nets) > MOST_WINS:
            self.level += 1
            self.nets = {one: net for one, net in self.nets.items() if sampled(one, self.level)}

    def told(self) -> WinSums:
        """Say what was counted."""
        draws = sorted(self.nets)
        nets = packed(NET, (self.nets[one] for one in draws))
        return WinSums(level=self.level, draws=packed(WHOLE, draws), nets=nets)


@dataclass(slots=True)
class DrawnCell:
    """Which users were drawn for which variant of a stratum, while it is counted."""

    level: int = 0
    users: dict[int, str] = field(default_factory=dict)

    def add(self, draw: int, variant: str) -> None:
        """Note a user, once."""
        if self.level and not sampled(draw, self.level):
            return
        self.users[draw] = variant
        while len(self.users) > MOST_DRAWN:
            self.level += 1
            self.users = {one: by for one, by in self.users.items() if sampled(one, self.level)}

    def told(self, variant: str) -> str:
        """Say who was drawn for a variant."""
        return packed(WHOLE, sorted(one for one, by in self.users.items() if by == variant))


def merged(parts: Sequence[ExperimentSums]) -> ExperimentSums | None:
    """Unite what engines counted of one experiment, each of which is there once; None: none.

    Of too many strata the newest are kept.
    """
    if not parts:
        return None
    groups: dict[str, list[StratumSums]] = {}
    for stratum in chain.from_iterable(one.strata for one in parts):
        groups.setdefault(stratum.id, []).append(stratum)
    strata = sorted(map(_stratum, groups.values()), key=lambda one: one.since)
    return ExperimentSums(
        id=parts[0].id, incarnation=ALL, keyed=parts[0].keyed, strata=tuple(strata[-MOST_STRATA:])
    )


def nets(wins: WinSums) -> dict[int, int]:
    """Read what each unit preferred."""
    return dict(zip(unpacked(WHOLE, wins.draws), unpacked(NET, wins.nets), strict=True))


def _stratum(parts: Sequence[StratumSums]) -> StratumSums:
    names = _ordered(one.variants for one in parts)
    metrics = _ordered(one.wins for one in parts)
    drawn = DrawnCell(level=max(one.level for one in parts))
    for one in parts:
        for name, variant in one.variants.items():
            for draw in unpacked(WHOLE, variant.drawn):
                drawn.add(draw, name)
    return StratumSums(
        id=parts[0].id,
        since=min(one.since for one in parts),
        shares=next((one.shares for one in parts if one.shares), {}),
        variants={
            name: _variant(
                [one.variants[name] for one in parts if name in one.variants], drawn.told(name)
            )
            for name in names
        },
        level=drawn.level,
        wins={
            name: _wins([one.wins[name] for one in parts if name in one.wins]) for name in metrics
        },
    )


def _variant(parts: Sequence[VariantSums], drawn: str) -> VariantSums:
    return VariantSums(
        drawn=drawn,
        assigned=added(WHOLE, [one.assigned for one in parts]),
        metrics={
            name: _metric([one.metrics[name] for one in parts if name in one.metrics])
            for name in _ordered(one.metrics for one in parts)
        },
    )


def _metric(parts: Sequence[MetricSums]) -> MetricSums:
    labels = [one.label for one in parts if one.label]
    return MetricSums(
        counts=added(WHOLE, [one.counts for one in parts]),
        sums=added(REAL, [one.sums for one in parts]),
        registers=highest([one.registers for one in parts]),
        squares=sum(one.squares for one in parts),
        clustered=any(one.clustered for one in parts),
        label=_labels(labels) if labels else None,
    )


def _labels(parts: Sequence[LabelSums]) -> LabelSums:
    return LabelSums(
        scores=added(WHOLE, [one.scores for one in parts]),
        confusion=added(WHOLE, [one.confusion for one in parts]),
    )


def _wins(parts: Sequence[WinSums]) -> WinSums:
    """Unite the wins of units at the lowest level at which they fit."""
    found = WinCell(level=max(one.level for one in parts))
    for one in parts:
        for draw, net in nets(one).items():
            found.add(draw, net, 0)
    return found.told()


def _ordered(many: Iterable[Iterable[str]]) -> list[str]:
    """Every name once, in the order in which they come."""
    return list(dict.fromkeys(chain.from_iterable(many)))
