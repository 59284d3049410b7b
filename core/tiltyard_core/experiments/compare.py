"""A variant beside the control, by one metric: what is known, and what follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, log

from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.v1alpha1.experiment import Better, Metric, MetricKind
from tiltyard_api.v1alpha1.verdict import Comparison, Finding
from tiltyard_core.experiments.cells import Numbers, Stratum, compared
from tiltyard_core.experiments.difference import Difference, difference, preference
from tiltyard_core.experiments.units import distinct
from tiltyard_core.experiments.wins import wins

RATES = (MetricKind.BINARY, MetricKind.LABEL)
"""Kinds whose values are 0 and 1."""


@dataclass(frozen=True, slots=True)
class Rule:
    """When there is a difference."""

    alpha: float
    """Of each comparison."""

    least: int
    """Units that both must have had."""


def compare(
    sums: ExperimentSums, metric: Metric, control: str, variant: str, rule: Rule
) -> Comparison:
    """Compare a variant with the control."""
    strata = compared(sums, metric.name, control, variant)
    ours, theirs = [one.variant for one in strata], [one.control for one in strata]
    units, control_units = _units(ours), _units(theirs)
    known = Comparison(
        metric=metric.name,
        variant=variant,
        control=control,
        finding=Finding.FEW,
        units=units,
        control_units=control_units,
        mean=_mean(ours),
        control_mean=_mean(theirs),
        wins=wins(sums, metric.name),
    )
    if not units or not control_units:
        return known
    found = _difference(sums, strata, metric, rule)
    told = known.model_copy(update=_figures(found))
    if min(units, control_units) < max(1, rule.least) or isinf(found.low):
        return told
    return told.model_copy(update={"finding": _finding(found, metric, rule)})


def _difference(
    sums: ExperimentSums, strata: Sequence[Stratum], metric: Metric, rule: Rule
) -> Difference:
    if any(sum(one.shares.values()) > 1.5 for one in sums.strata):  # two rankers have 1 each
        return preference(strata, rule.alpha, rule.least)
    return difference(strata, rule.alpha, rule.least, binary=metric.kind in RATES)


def _finding(found: Difference, metric: Metric, rule: Rule) -> Finding:
    if found.evidence < log(1 / rule.alpha):
        return Finding.OPEN
    higher = found.estimate > 0
    return Finding.BETTER if higher == (metric.better is Better.HIGHER) else Finding.WORSE


def _figures(found: Difference) -> dict[str, object]:
    return {
        "estimate": found.estimate,
        "low": None if isinf(found.low) else found.low,
        "high": None if isinf(found.high) else found.high,
        "p": found.p,
        "method": found.method,
        "fixed_test": found.fixed.name,
        "fixed_p": found.fixed.p,
        "needed": found.times,
    }


def _mean(parts: Sequence[Numbers]) -> float | None:
    count = sum(one.count for one in parts)
    return sum(one.total for one in parts) / count if count else None


def _units(parts: Sequence[Numbers]) -> int:
    """About how many units there were, each once whatever strata it came in."""
    count = sum(one.count for one in parts)
    if not any(one.clustered for one in parts):
        return count
    highest = [max(column) for column in zip(*(one.registers for one in parts), strict=True)]
    return min(count, round(distinct(highest)))
