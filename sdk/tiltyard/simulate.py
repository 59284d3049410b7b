"""`tiltyard simulate`: how often, and after how long, a canary would be rolled back."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tiltyard.failure import Failure
from tiltyard.manifests import read_manifests
from tiltyard.notices import document
from tiltyard.tables import console, plain_table
from tiltyard_api.quantities import seconds
from tiltyard_api.v1alpha1.canary import Canary, LinearRamp, Ramp
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.deployment import Deployment
from tiltyard_core.canary import Wanted, described
from tiltyard_core.simulate import Run, Traffic, simulate

LEAST_TIME = 3600.0
"""Seconds that a canary is watched at least, where nobody says how long."""

OUTCOMES = {
    ConditionReason.ROLLED_BACK: "rolled back",
    ConditionReason.COMPLETE: "complete",
    ConditionReason.FROZEN: "frozen",
    ConditionReason.AWAITING_PROMOTION: "waits for promotion",
    ConditionReason.INSUFFICIENT_DATA: "has too few units",
    ConditionReason.RAMPING: "still on its way",
}
"""How canaries end, in words."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked."""

    file: Path | None
    """Manifest with the canary; None: a linear ramp with the guards that are the default."""

    step: str | None
    linear: str
    traffic: Traffic
    runs: int
    seed: int
    limit: str | None


def answer(question: Question, output: str) -> None:
    """Play a canary through and tell what came of it.

    Raises:
        Failure: there is no canary, or it is not clear which.

    """
    want = _wanted(question)
    limit = seconds(question.limit) if question.limit else _length(want)
    chance = random.Random(question.seed)  # noqa: S311 - to be played again
    played = simulate(want, question.traffic, question.runs, chance, limit)
    runs = list(_shown(played, question.runs))
    told: dict[str, Any] = {
        "runs": len(runs),
        "unitsPerSecond": question.traffic.per_second,
        "stableErrors": question.traffic.stable,
        "candidateErrors": question.traffic.candidate,
        "limitSeconds": limit,
        "outcomes": [_of(reason, runs) for reason in OUTCOMES if any(_ended(runs, reason))],
    }
    if output == "table":
        _show(told["outcomes"])
    else:
        document(told, output)


def _wanted(question: Question) -> Wanted:
    if question.file is None:
        ramp = Ramp(linear=LinearRamp(duration=question.linear))
        return described(Canary(stable="stable", candidate="candidate", ramp=ramp), Deployment())
    found = [
        (step.name, step.canary, one.pipeline.spec.deployment)
        for one in read_manifests([question.file]).pipelines
        for step in one.pipeline.spec.steps
        if step.canary and question.step in (None, step.name)
    ]
    if not found:
        what = f"no canary {question.step!r}" if question.step else "no canary"
        raise Failure(
            f"{question.file} has {what}: name a manifest with one, or give options alone"
        )
    if len(found) > 1:
        names = " or ".join(f"--step {name}" for name, *_ in found)
        raise Failure(f"{question.file} has several canaries: add {names}")
    ((_, canary, deployment),) = found
    return described(canary, deployment)


def _length(want: Wanted) -> float:
    """Give time for the whole ramp and half as much again."""
    return max(LEAST_TIME, 1.5 * sum(one.hold or 0.0 for one in want.heights))


def _shown(played: Iterator[Run], count: int) -> Iterator[Run]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, transient=True, console=Console(stderr=True)) as progress:
        yield from progress.track(played, total=count, description="canaries")


def _of(reason: ConditionReason, runs: Sequence[Run]) -> dict[str, Any]:
    """Sum up the canaries that ended in one way."""
    ended = list(_ended(runs, reason))
    told: dict[str, Any] = {
        "outcome": str(reason),
        "runs": len(ended),
        "share": len(ended) / len(runs),
    }
    if len(ended) > 1:
        cuts = quantiles([one.seconds for one in ended], n=20, method="inclusive")
        told |= {"seconds": {"p5": cuts[0], "p50": cuts[9], "p95": cuts[18]}}
    elif ended:
        told |= {"seconds": dict.fromkeys(("p5", "p50", "p95"), ended[0].seconds)}
    return told


def _ended(runs: Sequence[Run], reason: ConditionReason) -> Iterator[Run]:
    return (one for one in runs if one.reason is reason)


def _show(outcomes: Sequence[dict[str, Any]]) -> None:
    table = plain_table("outcome", "canaries", "share", "5 %", "half", "95 % after")
    for one in outcomes:
        times = [_time(one["seconds"][name]) for name in ("p5", "p50", "p95")]
        word = OUTCOMES[ConditionReason(one["outcome"])]
        table.add_row(word, str(one["runs"]), f"{100 * one['share']:.4g} %", *times)
    console().print(table)


def _time(length: float) -> str:
    minutes, rest = divmod(round(length), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m{rest:02}s" if hours else f"{minutes}m{rest:02}s"
