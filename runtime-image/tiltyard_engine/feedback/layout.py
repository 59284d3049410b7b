"""Where the numbers of an experiment lie in its file."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from tiltyard_api.experiment import BINS, BUCKETS, MOST_STRATA
from tiltyard_api.plan import Plan, PlanExperiment, PlanInterleave
from tiltyard_api.v1alpha1.experiment import MetricKind
from tiltyard_core.experiment import dividing_step, experiment_id
from tiltyard_engine.feedback.book import FIRST
from tiltyard_engine.feedback.samples import SAMPLE

FORM: Final = 2
"""Another where anything of the layout is another."""

MOST_CELLS: Final = 128
"""Cells of all strata, variants and metrics: what is told of them must stay small."""

MOST_WORKERS: Final = 512
"""Processes that may count assignments at the same time, over engines that share the file."""

COUNTS, SUMS, REGISTERS, SQUARES, CLUSTERED = 0, BUCKETS, 2 * BUCKETS, 3 * BUCKETS, 3 * BUCKETS + 1
SCORES: Final = CLUSTERED + 1
CONFUSION: Final = SCORES + 2 * BINS
CELL: Final = CONFUSION + 4 * BUCKETS
"""Words of a metric of a variant in a stratum."""

TAG, SINCE, SHARED, SHARES = 0, 1, 2, 3
"""Words of a stratum: start of its id, when it began, whether its shares are known, and they."""

GROUPS: Final = 15_625
GROUP: Final = 64
"""Words of a group of fingerprints, of which there are two a word; 8 MB for all groups."""


@dataclass(frozen=True)
class Layout:
    """Of one experiment."""

    plan: Plan

    @cached_property
    def experiment(self) -> PlanExperiment:
        """What is counted."""
        if self.plan.experiment is None:
            raise ValueError(f"Pipeline {self.plan.pipeline!r} has no experiment")
        return self.plan.experiment

    @cached_property
    def id(self) -> str:
        """The experiment's."""
        return experiment_id(self.plan)

    @cached_property
    def variants(self) -> tuple[str, ...]:
        """In the order in which ids name them."""
        return dividing_step(self.plan).variants

    @cached_property
    def interleaved(self) -> bool:
        """Whether all variants serve every request."""
        return isinstance(dividing_step(self.plan), PlanInterleave)

    @cached_property
    def keyed(self) -> bool:
        """Whether units are hash keys."""
        return dividing_step(self.plan).hash_key is not None

    @cached_property
    def tells_units(self) -> bool:
        """Whether the different units that were drawn are told."""
        return self.keyed and not self.interleaved

    @cached_property
    def metrics(self) -> tuple[str, ...]:
        """Names."""
        return tuple(one.name for one in self.experiment.metrics)

    @cached_property
    def won(self) -> tuple[str, ...]:
        """Metrics whose values are wins of a ranker."""
        kinds = (MetricKind.BINARY, MetricKind.COUNT)
        found = (one.name for one in self.experiment.metrics if one.kind in kinds)
        return tuple(found) if self.interleaved else ()

    @cached_property
    def strata(self) -> int:
        """Most that are told apart."""
        many = MOST_CELLS // (len(self.variants) * len(self.metrics))
        return min(MOST_STRATA, max(2, many))

    @cached_property
    def stratum(self) -> int:
        """Words that describe a stratum."""
        return SHARES + len(self.variants)

    @cached_property
    def cells(self) -> int:
        """First word of the cells."""
        return FIRST + self.strata * self.stratum

    def cell(self, stratum: int, variant: int, metric: int) -> int:
        """First word of a cell."""
        row = stratum * len(self.variants) + variant
        return self.cells + (row * len(self.metrics) + metric) * CELL

    @cached_property
    def wins(self) -> int:
        """First word of the wins."""
        return self.cell(self.strata, 0, 0)

    def won_by(self, metric: str) -> int:
        """First word of what units preferred by a metric."""
        return self.wins + self.won.index(metric) * SAMPLE

    @cached_property
    def drawn(self) -> int:
        """First word of the units that were drawn."""
        return self.wins + len(self.won) * SAMPLE

    def drawn_in(self, stratum: int) -> int:
        """First word of the units that were drawn in a stratum."""
        return self.drawn + stratum * SAMPLE

    @cached_property
    def repeats(self) -> int:
        """First word of the fingerprints of feedback that was taken."""
        return self.drawn_in(self.strata if self.tells_units else 0)

    @cached_property
    def workers(self) -> int:
        """First word of what workers count by themselves."""
        return self.repeats + GROUPS * GROUP

    @cached_property
    def assigned(self) -> int:
        """Words in which one worker counts assignments."""
        return self.strata * len(self.variants) * BUCKETS

    @cached_property
    def size(self) -> int:
        """Words of everything."""
        return self.workers + MOST_WORKERS * self.assigned - FIRST

    @cached_property
    def identity(self) -> bytes:
        """Another where the layout or the experiment is another."""
        return hashlib.sha256(f"{FORM} {self.id} {self.size}".encode()).digest()
