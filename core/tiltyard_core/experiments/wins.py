"""Which of two rankers units prefer, unit by unit."""

from math import exp, log

from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.v1alpha1.verdict import Wins
from tiltyard_core.evidence import log_evidence
from tiltyard_core.experiments.fixed import sign_test
from tiltyard_core.experiments.sums import nets


def wins(sums: ExperimentSums, metric: str) -> Wins | None:
    """Count the units that preferred either ranker; None: nothing is known.

    The always-valid p-value is that of a likelihood ratio against a beta-binomial mixture around
    one half. Whichever sample of the units is kept, it pays for those that might have been.
    """
    found = next((one.wins[metric] for one in sums.strata if metric in one.wins), None)
    if found is None:
        return None
    values = nets(found).values()
    first, second = sum(one > 0 for one in values), sum(one < 0 for one in values)
    samples = (found.level + 1) * (found.level + 2)  # 1/2 + 1/6 + 1/12 + ... = 1
    evidence = log_evidence(second, first + second, 0.5) - log(samples)
    return Wins(
        wins=second,
        control_wins=first,
        ties=len(values) - first - second,
        sampled=0.5**found.level,
        p=min(1.0, exp(-evidence)),
        sign_p=sign_test(first, second).p,
    )
