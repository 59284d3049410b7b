"""What counts say of a candidate: guards that roll it back, and what a stage must show to end."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from math import log
from typing import Literal

from tiltyard_api.evidence import CanaryCounts, Tally, Units
from tiltyard_api.quantities import seconds
from tiltyard_api.routing import CanaryRouting, GuardRouting
from tiltyard_api.v1alpha1.canary import Guards
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_api.v1alpha1.stage import Guard, GuardEvidence, Latch
from tiltyard_core.evidence import least_share, log_evidence, most_share, null_share
from tiltyard_core.units import thinned, unpacked

HOPELESS = 20
"""Units failed in a row that need no statistics."""

HARDLY = 0.1
"""Share of the stable model's units that may fail before failures in a row count as everybody's."""

RATIO_ALPHA = 0.001
"""Most probability, over a whole ramp, that units which divide as they should freeze it."""

EXCESS_ALPHA = 0.05
"""Most probability that the bound for `maxExcess` is ever wrong in a stage."""


@dataclass(frozen=True, slots=True)
class Row:
    """Units that the candidate failed without one that it did not, on one worker of an engine."""

    failed: int
    stable: int = 0
    """Answers of the stable model since the row began."""

    stable_failed: int = 0


def margins(guards: Guards) -> dict[Guard, float]:
    """Give the guards that are on, with how much worse each puts up with."""
    on = {Guard.ERRORS: guards.errors.margin, Guard.INVALID: guards.invalid.margin}
    return on | ({Guard.LATENCY: guards.latency.margin} if guards.latency else {})


def routed(guards: Guards, stages: int, deployment: Deployment | None = None) -> GuardRouting:
    """By what counts are judged.

    Half of alpha is for what all engines counted together, half for engines that judge their own
    counts; each half is divided over guards and stages, and the second over the engines too.

    Args:
        guards: what the user says.
        stages: of the ramp.
        deployment: says how many engines there may be; None: of all together.

    """
    on = margins(guards)
    engines = most_engines(deployment) if deployment else 1
    return GuardRouting(
        alpha=guards.alpha / 2 / engines / len(on) / stages,
        margins=on,
        slow=seconds(guards.latency.above) if guards.latency else None,
    )


def most_engines(deployment: Deployment) -> int:
    """Most engines that there may be at a time."""
    if deployment.autoscaling:
        return deployment.autoscaling.max
    return max(1, 1 if deployment.replicas is None else deployment.replicas)


def judge(counts: CanaryCounts, weight: float, guards: GuardRouting) -> tuple[GuardEvidence, ...]:
    """What each guard makes of the counts of a stage.

    Args:
        counts: of the stage.
        weight: percent that the candidate got in it.
        guards: those that are on, and the probability that each may be wrong with.

    """
    limit = log(1 / guards.alpha)
    return tuple(
        _evidence(counts, guard, weight / 100, margin, limit)
        for guard, margin in guards.margins.items()
    )


def against(
    evidence: Iterable[GuardEvidence], weight: float, guards: GuardRouting
) -> GuardEvidence | None:
    """Give the evidence that the candidate is worse than it may be, if there is any."""
    for one in evidence:
        if one.paused or one.log_evidence < one.limit:
            continue
        expected = null_share(weight / 100, guards.margins[one.guard])
        if one.candidate > expected * one.both:  # else it is better than it may be
            return one
    return None


def row_failed(row: Row) -> bool:
    """Whether a candidate is past hope by its last units, and it is not that everything fails."""
    return row.failed >= HOPELESS and row.stable_failed <= HARDLY * row.stable


def all_failed(counts: CanaryCounts) -> bool:
    """Whether every unit of a candidate failed, and it is not that everything fails."""
    failed, stable_failed = counts.candidate.errors.count, counts.stable.errors.count
    every = counts.level == 0 and failed >= max(HOPELESS, counts.candidate.units.count)
    return every and stable_failed <= HARDLY * counts.stable.units.count


def engine_latch(
    counts: CanaryCounts, rows: Iterable[Row], routing: CanaryRouting, now: float
) -> Latch | None:
    """What an engine finds by its own counts: None, or why it takes its candidate out of the way.

    Args:
        counts: of all its workers, in the stage that is in force.
        rows: one for each worker.
        routing: what is in force.
        now: time of day.

    """
    if counts.stage != routing.stage_id:
        return None
    row = next((one for one in rows if row_failed(one)), None)
    if row is not None:
        return latch(counts.stage, "engine", "row", f"{row.failed} units in a row failed", now)
    if all_failed(counts):
        message = f"all of its {counts.candidate.errors.count} units failed"
        return latch(counts.stage, "engine", "row", message, now)
    if routing.frozen:
        return None
    evidence = judge(counts, routing.weight, routing.guards)
    found = against(evidence, routing.weight, routing.guards)
    return latch(counts.stage, "engine", found.guard, told(found), now) if found else None


def latch(
    stage: str, by: Literal["operator", "engine", "user"], guard: str, message: str, now: float
) -> Latch:
    """Take a candidate out of the way."""
    return Latch(
        at=datetime.fromtimestamp(now, UTC), stage=stage, by=by, guard=guard, message=message
    )


def told(evidence: GuardEvidence) -> str:
    """Say what a guard has found, for people."""
    what = {
        Guard.ERRORS: "failed units",
        Guard.LATENCY: "slow units",
        Guard.INVALID: "units with invalid outputs",
    }[evidence.guard]
    found = f"{evidence.candidate} of {evidence.both} {what} are the candidate's"
    return f"{found}: log evidence {evidence.log_evidence:.1f}, limit {evidence.limit:.1f}"


def ratio_faults(counts: CanaryCounts, weight: float, stages: int) -> Iterator[str]:
    """Say that the units of a stage do not divide as they should, where they do not.

    Such counts are not judged: something else than chance decides who gets the candidate.
    """
    if not 0 < weight < 100:
        return
    mine, all_units = counts.candidate.units.count, _both(counts, "units")
    levels = (counts.level + 1) * (counts.level + 2)  # 1/2 + 1/6 + 1/12 + ... = 1
    limit = log(stages * (levels if counts.keyed else 1) / RATIO_ALPHA)
    found = log_evidence(mine, all_units, weight / 100)
    if found >= limit:
        share = f"{mine} of {all_units} units ({100 * mine / all_units:.2f} %)"
        yield f"the candidate has {share} at a weight of {weight:g} %: this is not chance"


def excess(counts: CanaryCounts) -> float:
    """Upper bound of how much more of its units the candidate fails, always valid at 95 %."""
    stable, candidate = _sample(counts.stable, counts), _sample(counts.candidate, counts)
    if Guard.ERRORS in counts.saturated or not candidate[1]:
        return 1.0
    return most_share(*candidate, EXCESS_ALPHA / 2) - least_share(*stable, EXCESS_ALPHA / 2)


def units_of(tally: Tally, counts: CanaryCounts) -> int:
    """How many units there are behind a sample of them."""
    return tally.units.count << counts.level


def error_share(tally: Tally, counts: CanaryCounts) -> float | None:
    """Share of its units that a variant failed; None where it had none."""
    bad, units = _sample(tally, counts)
    return bad / units if units else None


def _sample(tally: Tally, counts: CanaryCounts) -> tuple[int, int]:
    """Units of a variant that failed, and all, in the sample."""
    return min(_thinned(tally.errors, counts.level), tally.units.count), tally.units.count


def _thinned(units: Units, level: int) -> int:
    if not level or units.keys is None:
        return units.count
    return len(thinned(unpacked(units.keys), level))


def _evidence(
    counts: CanaryCounts, guard: Guard, share: float, margin: float, limit: float
) -> GuardEvidence:
    candidate, both = getattr(counts.candidate, guard).count, _both(counts, guard)
    paused = not 0 < share < 1
    found = 0.0 if paused else log_evidence(candidate, both, null_share(share, margin))
    return GuardEvidence(
        guard=guard,
        candidate=candidate,
        both=both,
        log_evidence=found,
        limit=limit,
        saturated=guard in counts.saturated or None,
        paused=paused or None,
    )


def _both(counts: CanaryCounts, sort: str) -> int:
    found: Mapping[str, int] = {
        role: getattr(tally, sort).count
        for role, tally in (("stable", counts.stable), ("candidate", counts.candidate))
    }
    return sum(found.values())
