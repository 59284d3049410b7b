"""Do units divide as they should? Where not, it was not chance that chose, and no mean counts."""

from collections.abc import Iterator, Mapping
from math import log

from tiltyard_api.experiment import WHOLE, ExperimentSums, StratumSums
from tiltyard_core.experiments.anytime import ratio_evidence
from tiltyard_core.experiments.arrays import unpacked, whole
from tiltyard_core.experiments.cells import numbers

RATIO_ALPHA = 0.001
"""Most probability that units which divide as they should ever stop an experiment."""


def assignment_faults(sums: ExperimentSums) -> Iterator[str]:
    """Say where units do not divide between variants by their shares.

    Users are counted, where there is a hash key: how often they come may depend on what they get.
    """
    for stratum, limit in _limits(sums):
        levels = (stratum.level + 1) * (stratum.level + 2) if sums.keyed else 1
        counts = {
            name: len(unpacked(WHOLE, one.drawn)) if sums.keyed else sum(whole(one.assigned))
            for name, one in stratum.variants.items()
        }
        found = _uneven(stratum, counts, limit + log(levels))
        if found:
            what = "users" if sums.keyed else "requests"
            yield f"of the {what}, {found}: something else than chance decides who gets what"


def feedback_faults(sums: ExperimentSums, metric: str) -> Iterator[str]:
    """Say where feedback does not divide between variants as requests should.

    Nothing is said where a unit may give several values: that they give more of them may be what is
    better about a variant.
    """
    for stratum, limit in _limits(sums):
        found = {
            name: numbers(one.metrics[metric])
            for name, one in stratum.variants.items()
            if metric in one.metrics
        }
        if any(one.clustered for one in found.values()):
            continue
        told = _uneven(stratum, {name: one.count for name, one in found.items()}, limit)
        if told:
            yield (
                f"of the feedback on {metric!r}, {told}: who answers depends on the variant; send a"
                " value for everybody, 0 for those who did nothing"
            )


def _limits(sums: ExperimentSums) -> Iterator[tuple[StratumSums, float]]:
    """Strata with what is too much evidence in each, so that all together keep to alpha."""
    for number, stratum in enumerate(sums.strata, 1):
        if abs(sum(stratum.shares.values()) - 1) < 1e-6:  # neither unknown nor of two rankers
            yield stratum, log(number * (number + 1) / RATIO_ALPHA)  # 1/2 + 1/6 + 1/12 + ... = 1


def _uneven(stratum: StratumSums, counts: Mapping[str, int], limit: float) -> str | None:
    shares = stratum.shares
    totals = [counts.get(name, 0) for name in shares]
    if ratio_evidence(totals, list(shares.values())) < limit:
        return None
    return ", ".join(
        f"{name} has {count} ({100 * count / sum(totals):.2f} %, not {100 * shares[name]:.2f} %)"
        for name, count in zip(shares, totals, strict=True)
    )
