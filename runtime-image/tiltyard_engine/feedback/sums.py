"""The sums of an experiment in its file: `tiltyard_core.experiments.sums` adds up the same."""

from collections.abc import Iterator, Sequence

from tiltyard_api.experiment import (
    BINS,
    BUCKETS,
    BYTE,
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
from tiltyard_api.v1alpha1.experiment import MetricKind
from tiltyard_core.experiments.arrays import packed
from tiltyard_core.experiments.sums import score_bin
from tiltyard_core.experiments.units import register
from tiltyard_core.tokens import Token
from tiltyard_engine.feedback.book import Book, Change, reals
from tiltyard_engine.feedback.layout import (
    CELL,
    CLUSTERED,
    CONFUSION,
    COUNTS,
    REGISTERS,
    SCORES,
    SQUARES,
    SUMS,
    Layout,
)
from tiltyard_engine.feedback.samples import LEVEL, SAMPLE, number_of, put, units
from tiltyard_engine.feedback.strata import Strata

_ZERO = 1 << 31
"""Nets are kept with this added, so that none is negative."""

_MOST = (1 << 32) - 1


class Sums:
    """The sums of one experiment.

    Args:
        book: its file.
        layout: of the file.

    """

    def __init__(self, book: Book, layout: Layout) -> None:
        self._book = book
        self._layout = layout
        self._strata = Strata(book, layout)

    def add(self, change: Change, cell: int, draw: int, value: float, *, clustered: bool) -> None:
        """Add a value of a unit to a cell."""
        place, rank = register(draw)
        change.add(cell + COUNTS + place, 1)
        change.add_real(cell + SUMS + place, value)
        change.add_real(cell + SQUARES, value * value)
        if change.read(cell + REGISTERS + place) < rank:
            change.write(cell + REGISTERS + place, rank)
        if clustered:
            change.write(cell + CLUSTERED, 1)

    def label(self, change: Change, cell: int, token: Token, label: int, predicted: int) -> None:
        """Add what a label says of the score of an answer."""
        change.add(cell + SCORES + label * BINS + score_bin(token.score), 1)
        place, _ = register(token.unit)
        change.add(cell + CONFUSION + (2 * label + predicted) * BUCKETS + place, 1)

    def win(self, change: Change, metric: str, draw: int, value: int) -> None:
        """Credit the first ranker with what a unit did; the second where it is negative."""
        sample = self._layout.won_by(metric)
        before = number_of(change, sample, draw)
        put(change, sample, draw, _kept((_ZERO if before is None else before) + value))

    def told(self) -> ExperimentSums:
        """Say all that was counted, in all processes."""
        layout = self._layout
        copy = memoryview(self._book.snapshot(0, layout.repeats))
        strata = []
        for place in range(layout.strata):
            found = self._strata.told(copy, place)
            if found:
                identity, since, shares = found
                level, drawn = self._drawn(copy, place)
                variants = {
                    name: self._variant(copy, place, number, drawn)
                    for number, name in enumerate(layout.variants)
                }
                one = StratumSums(
                    id=identity,
                    since=since,
                    shares=shares,
                    level=level,
                    variants=variants,
                    wins=dict(self._wins(copy)),
                )
                strata.append(one)
        return ExperimentSums(
            id=layout.id,
            incarnation=self._book.incarnation,
            keyed=layout.keyed,
            strata=tuple(sorted(strata, key=lambda one: one.since)),
        )

    def _drawn(self, copy: memoryview, place: int) -> tuple[int, list[tuple[int, int]]]:
        """Level and units of a stratum, with the numbers of their variants."""
        if not self._layout.tells_units:
            return 0, []
        first = self._layout.drawn_in(place)
        words = copy[first : first + SAMPLE]
        return words[LEVEL], units(words)

    def _variant(
        self, copy: memoryview, place: int, variant: int, drawn: Sequence[tuple[int, int]]
    ) -> VariantSums:
        layout = self._layout
        start = (place * len(layout.variants) + variant) * BUCKETS
        rows = (
            self._book.words[at : at + BUCKETS].tolist()
            for at in range(layout.workers + start, self._end, layout.assigned)
        )
        assigned = [min(_MOST, sum(column)) for column in zip(*rows, strict=True)]
        return VariantSums(
            assigned=packed(WHOLE, assigned or [0] * BUCKETS),
            drawn=packed(WHOLE, [draw for draw, by in drawn if by == variant]),
            metrics={
                metric.name: _metric(copy[cell : cell + CELL], metric.kind)
                for number, metric in enumerate(layout.experiment.metrics)
                if (cell := layout.cell(place, variant, number))
            },
        )

    @property
    def _end(self) -> int:
        """End of what workers have counted by themselves."""
        return self._layout.workers + self._book.claimed * self._layout.assigned

    def _wins(self, copy: memoryview) -> Iterator[tuple[str, WinSums]]:
        for metric in self._layout.won:
            first = self._layout.won_by(metric)
            words = copy[first : first + SAMPLE]
            found = units(words)
            draws = packed(WHOLE, [draw for draw, _ in found])
            nets = packed(NET, [net - _ZERO for _, net in found])
            yield metric, WinSums(level=words[LEVEL], draws=draws, nets=nets)


def _metric(words: memoryview, kind: MetricKind) -> MetricSums:
    label = None
    if kind is MetricKind.LABEL:
        scores = words[SCORES : SCORES + 2 * BINS].tolist()
        confusion = words[CONFUSION : CONFUSION + 4 * BUCKETS].tolist()
        label = LabelSums(scores=packed(WHOLE, scores), confusion=packed(WHOLE, confusion))
    return MetricSums(
        counts=packed(WHOLE, words[COUNTS : COUNTS + BUCKETS].tolist()),
        sums=packed(REAL, reals(words[SUMS : SUMS + BUCKETS].tolist())),
        registers=packed(BYTE, words[REGISTERS : REGISTERS + BUCKETS].tolist()),
        squares=reals([words[SQUARES]])[0],
        clustered=bool(words[CLUSTERED]),
        label=label,
    )


def _kept(net: int) -> int:
    """Keep a net within its word, whatever it comes to."""
    return min(_MOST, max(0, net))
