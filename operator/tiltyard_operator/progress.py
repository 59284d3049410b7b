"""How far the pods are on the way to what is wanted, and what keeps them. Pure."""

from collections.abc import Iterator, Sequence

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_operator.observed import Workload
from tiltyard_operator.pods import Pod
from tiltyard_operator.verdicts import Verdict

PATIENCE = 30.0
"""Seconds that a pod may wait for a node before people are told: a cluster may be adding one."""


def stuck(workload: Workload | None, pods: Sequence[Pod], now: float) -> Verdict | None:
    """Say what keeps pods from serving and will not go away by waiting."""
    return next(_stuck(workload, pods, now), None)


def under_way(workload: Workload | None, pods: Sequence[Pod]) -> Verdict | None:
    """Say what is still to come; None where all pods are as they are wanted."""
    if workload is None:
        return Verdict(ConditionReason.LOADING, "no pods yet")
    wanted, old = workload.wanted, workload.current - workload.updated
    serving = sum(one.ready and one.plan == workload.plan for one in pods)
    if not workload.settled or workload.updated < wanted or old > 0:
        said = f"{workload.updated} of {wanted} pods are new, {max(old, 0)} old ones are left"
        return Verdict(ConditionReason.ROLLING, said)
    if workload.current > wanted:
        return Verdict(ConditionReason.SCALING, f"{workload.current - wanted} pods too many end")
    if workload.available < wanted:
        said = f"{workload.available} of {wanted} pods serve steadily"
        return Verdict(ConditionReason.LOADING, said)
    if any(one.ending and one.serves for one in pods) or serving < wanted:
        return Verdict(ConditionReason.ROLLING, "pods that end answer their last requests")
    return None


def patience_left(pods: Sequence[Pod], now: float) -> Iterator[float]:
    """Seconds until people are told of each pod that waits for a node and may yet find one."""
    for one in pods:
        if one.unplaced_since is not None and now - one.unplaced_since <= PATIENCE:
            yield one.unplaced_since + PATIENCE - now + 0.1


def _stuck(workload: Workload | None, pods: Sequence[Pod], now: float) -> Iterator[Verdict]:
    plan = workload.plan if workload else ""
    for one in pods:
        if one.trouble and one.plan == plan and not one.ending:
            yield one.trouble
    for one in pods:
        if one.unplaced_since is not None and now - one.unplaced_since > PATIENCE:
            said = f"no node takes pod {one.name}: it asks for more cpus or memory than is free"
            yield Verdict(ConditionReason.PODS_UNSCHEDULABLE, said)
    if workload and workload.stuck:
        yield Verdict(ConditionReason.ROLLOUT_STUCK, workload.stuck)
