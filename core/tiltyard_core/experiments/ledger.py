"""Brings together what engines say of an experiment: nothing twice, nothing lost with an engine."""

from collections.abc import Collection, Iterable

from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.experimentledger import MOST_GONE, ExperimentLedger, Heard
from tiltyard_core.experiments.arrays import whole
from tiltyard_core.experiments.sums import merged


def remember(
    ledger: ExperimentLedger | None,
    experiment: str,
    heard: Iterable[Heard],
    pods: Collection[str],
) -> ExperimentLedger:
    """Add to what was known what engines say now; what they said before does not count again.

    Args:
        ledger: what is known; of another experiment it is over.
        experiment: id of the one that is in force.
        heard: what engines say; of another experiment it is over, or not yet in force.
        pods: those that there are. Engines of others say nothing more.

    """
    before = ledger if ledger and ledger.id == experiment else ExperimentLedger(id=experiment)
    last: dict[str, Heard] = {}
    for one in (*before.known, *heard):
        name = one.sums.incarnation
        if one.sums.id != experiment or name in before.over:
            continue
        if name not in last or said(one.sums) >= said(last[name].sums):
            last[name] = one
    known = tuple(one for one in last.values() if one.pod in pods)
    absent = [one for one in last.values() if one.pod not in pods]
    leaving, later = absent[:MOST_GONE], absent[MOST_GONE:]  # so many names are remembered
    parts = [*([before.gone] if before.gone else []), *(one.sums for one in leaving)]
    gone = merged(parts) if leaving else before.gone
    cut = _strata(parts) - _strata([gone] if gone else [])
    return ExperimentLedger(
        id=experiment,
        known=(*known, *later),
        gone=gone,
        over=(*before.over, *(one.sums.incarnation for one in leaving))[-MOST_GONE:],
        dropped=(before.dropped or 0) + cut or None,
    )


def total(ledger: ExperimentLedger) -> ExperimentSums | None:
    """Give what all engines counted together; None: nothing yet."""
    gone = [ledger.gone] if ledger.gone else []
    return merged([*gone, *(one.sums for one in ledger.known)])


def said(sums: ExperimentSums) -> int:
    """Tell how much an engine has counted: that never falls."""
    return sum(
        sum(whole(variant.assigned))
        + sum(sum(whole(metric.counts)) for metric in variant.metrics.values())
        for stratum in sums.strata
        for variant in stratum.variants.values()
    )


def _strata(parts: Iterable[ExperimentSums]) -> int:
    """Count different sets of weights."""
    return len({stratum.id for one in parts for stratum in one.strata})
