"""Sums as numbers: what is known of one metric of one variant in one stratum."""

from collections.abc import Sequence
from dataclasses import dataclass

from tiltyard_api.experiment import BUCKETS, BYTE, ExperimentSums, MetricSums, StratumSums
from tiltyard_core.experiments.arrays import reals, unpacked, whole
from tiltyard_core.experiments.fixed import Sample
from tiltyard_core.experiments.units import distinct


@dataclass(frozen=True, slots=True)
class Numbers:
    """One metric of one variant in one stratum."""

    counts: Sequence[int]
    sums: Sequence[float]
    count: int
    total: float
    squares: float
    registers: Sequence[int]
    clustered: bool

    @property
    def mean(self) -> float:
        """Of all values."""
        return self.total / self.count if self.count else 0.0

    @property
    def units(self) -> float:
        """About how many units there were; as many as values, where each gave one."""
        return min(distinct(self.registers), self.count) if self.clustered else self.count

    @property
    def sample(self) -> Sample:
        """As of values that are independent of each other."""
        free = max(1, self.count - 1)
        spread = max(0.0, self.squares - self.total * self.mean)
        return Sample(self.count, self.mean, spread / free)

    def strayed(self, bucket: int) -> float:
        """How far a bucket is from the mean, as a part of all values."""
        here = self.sums[bucket] - self.mean * self.counts[bucket]
        return here / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Stratum:
    """Control and variant, by one metric, while their shares stayed the same."""

    share: float
    """The variant's of both."""

    control: Numbers
    variant: Numbers

    @property
    def sizes(self) -> tuple[int, int]:
        """How many values either has."""
        return self.control.count, self.variant.count


def numbers(sums: MetricSums) -> Numbers:
    """Read sums."""
    counts, totals = whole(sums.counts), reals(sums.sums)
    registers = unpacked(BYTE, sums.registers)
    return Numbers(
        counts, totals, sum(counts), sum(totals), sums.squares, registers, sums.clustered
    )


def compared(sums: ExperimentSums, metric: str, control: str, variant: str) -> list[Stratum]:
    """Compare two variants in each stratum whose shares are known and that gave to both."""
    found = []
    for one in sums.strata:
        shares = [one.shares.get(name, 0.0) for name in (control, variant)]
        if min(shares) > 0:
            share = shares[1] / sum(shares)
            found.append(Stratum(share, _of(one, control, metric), _of(one, variant, metric)))
    return found


def _of(stratum: StratumSums, variant: str, metric: str) -> Numbers:
    known = stratum.variants.get(variant)
    sums = known.metrics.get(metric) if known else None
    return numbers(sums) if sums else NOTHING


NOTHING = Numbers((0,) * BUCKETS, (0.0,) * BUCKETS, 0, 0.0, 0.0, (0,) * BUCKETS, clustered=False)
"""Of a variant without any feedback."""
