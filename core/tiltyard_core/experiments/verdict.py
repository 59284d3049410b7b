"""What an experiment has shown: every variant beside the first one, and a verdict by the goal.

With several variants beside the control each is compared at alpha divided by their number
(Bonferroni), so that alpha is the probability of any false verdict. The verdict is by one metric;
other metrics are judged by the same rule, each for itself.
"""

from collections.abc import Iterator, Sequence

from tiltyard_api.experiment import ExperimentSums
from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_api.v1alpha1.experiment import Better, Experiment, Metric
from tiltyard_api.v1alpha1.verdict import Comparison, Finding, LabelQuality, Verdict
from tiltyard_core.experiments.compare import Rule, compare
from tiltyard_core.experiments.labels import quality
from tiltyard_core.experiments.ratios import assignment_faults, feedback_faults


def judge(sums: ExperimentSums | None, experiment: Experiment, variants: Sequence[str]) -> Verdict:
    """Say what an experiment has shown.

    Args:
        sums: all feedback there is; None: nobody has said anything yet.
        experiment: what is wanted of a verdict.
        variants: of the step; the first is the control.

    """
    goal = next((one for one in experiment.metrics if one.goal), experiment.metrics[0])
    if sums is None:
        return _verdict(goal, ConditionReason.INSUFFICIENT_DATA, "no feedback is known yet")
    uneven = next(assignment_faults(sums), None)
    rule = Rule(experiment.alpha / max(1, len(variants) - 1), experiment.min_units)
    rows: list[Comparison] = []
    fault = None
    for metric in experiment.metrics:
        blocked = uneven or next(feedback_faults(sums, metric.name), None)
        fault = blocked if metric is goal else fault
        for variant in variants[1:]:
            row = compare(sums, metric, variants[0], variant, rule)
            rows.append(row.model_copy(update={"finding": Finding.BLOCKED}) if blocked else row)
    mine = [one for one in rows if one.metric == goal.name]
    mismatch = ConditionReason.SAMPLE_RATIO_MISMATCH
    found = _verdict(goal, mismatch, fault) if fault else _concluded(goal, mine, rule)
    labels = tuple(_labels(sums, experiment, variants))
    return found.model_copy(update={"comparisons": tuple(rows) or None, "labels": labels or None})


def _concluded(goal: Metric, rows: Sequence[Comparison], rule: Rule) -> Verdict:
    """Say what follows from the comparisons by the goal."""
    better = [one for one in rows if one.finding is Finding.BETTER]
    if better:
        best = _best(better, goal)
        return _verdict(goal, ConditionReason.VARIANT_BETTER, _said(best), best.variant)
    if rows and all(one.finding is Finding.WORSE for one in rows):
        said = "; ".join(map(_said, rows))
        return _verdict(goal, ConditionReason.CONTROL_BEST, said, rows[0].control)
    few = [one for one in rows if one.finding is Finding.FEW]
    if few or not rows:
        said = "; ".join(
            f"{one.variant} has {one.units} units with feedback on {goal.name!r}, {one.control} has"
            f" {one.control_units}: {rule.least} of each are wanted"
            for one in few
        )
        return _verdict(
            goal, ConditionReason.INSUFFICIENT_DATA, said or "there is one variant alone"
        )
    said = "; ".join(map(_said, rows))
    return _verdict(goal, ConditionReason.NO_VERDICT, f"no verdict yet: {said}")


def _best(better: Sequence[Comparison], goal: Metric) -> Comparison:
    sign = 1 if goal.better is Better.HIGHER else -1
    return max(better, key=lambda one: sign * (one.estimate or 0.0))


def _said(row: Comparison) -> str:
    """Say what is known of a variant, for people."""
    word = {Finding.BETTER: "is better than", Finding.WORSE: "is worse than"}.get(
        row.finding, "beside"
    )
    said = f"{row.variant} {word} {row.control} on {row.metric!r}"
    if row.estimate is None or row.low is None or row.high is None:
        return said
    said += f": {row.estimate:+.4g} ({row.low:+.4g} to {row.high:+.4g}), p {row.p:.2g}"
    if row.finding is Finding.OPEN and row.needed:
        said += f"; if that is so, {row.needed:.3g} times this feedback would do"
    return said


def _verdict(
    goal: Metric, reason: ConditionReason, message: str, best: str | None = None
) -> Verdict:
    return Verdict(
        metric=goal.name,
        conclusive=best is not None,
        reason=reason,
        message=message[:1024],
        best=best,
    )


def _labels(
    sums: ExperimentSums, experiment: Experiment, variants: Sequence[str]
) -> Iterator[LabelQuality]:
    for metric in experiment.metrics:
        for variant in variants:
            found = quality(sums, metric.name, variant)
            if found:
                yield found
