"""Which weights each live plan has, and with which revision they are written. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tiltyard_api.plan import Plan, PlanCanary
from tiltyard_api.routing import (
    CanaryRouting,
    RoutingTable,
    ShadowRouting,
    SplitRouting,
    StepRouting,
)
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_routing
from tiltyard_core.tables import misfit
from tiltyard_operator.observed import Answer


@dataclass(frozen=True, slots=True)
class Said:
    """What is wanted of routing."""

    today: Pipeline | None
    """What the user says; None: nothing that makes sense."""

    before: Callable[[], Iterable[Pipeline]]
    """Gives what the user said before, newest first."""

    plan: Plan | None = None
    """The plan that canaries are judged by."""

    canaries: Mapping[str, CanaryRouting] = field(default_factory=dict)
    """What its engines are to do, by the names of its canaries."""


def tables(
    plans: Mapping[str, Plan],
    said: Said,
    uid: str,
    there: Sequence[RoutingTable],
    answers: Iterable[Answer],
) -> tuple[RoutingTable, ...]:
    """Give the table of every plan that has pods.

    Args:
        plans: those, by their hashes.
        said: what is wanted.
        uid: the Pipeline's.
        there: tables as they were written last.
        answers: what pods say that they run.

    A table keeps its revision as long as it stays the same. Else it gets one that is above all
    that were ever seen: pods refuse what is not newer than their own, so it is written anew too
    where one of them is ahead, as after an API server was restored from a backup.
    """
    ahead: dict[str, int] = {}
    for one in answers:
        if one.plan and one.revision is not None:
            ahead[one.plan] = max(ahead.get(one.plan, 0), one.revision)
    top = max([0, *(one.revision for one in there), *ahead.values()])
    made = []
    for plan_hash, plan in plans.items():
        old = next(
            (one for one in there if one.plan == plan_hash and one.pipeline_uid == uid), None
        )
        if old and (misfit(plan, old) or not old.hash):
            old = None
        steps = old.steps if old else _first(plan, said)
        if steps is None:
            continue
        if said.today:
            now = compile_routing(said.today, plan, uid, 0).steps
            steps = {name: _today(step, now.get(name)) for name, step in steps.items()}
        steps = {**steps, **_canaries(plan, said)}
        if old and old.steps == steps and ahead.get(plan_hash, 0) <= old.revision:
            made.append(old)
        else:
            made.append(
                RoutingTable(
                    plan=plan_hash, pipeline_uid=uid, revision=top + 1, steps=steps
                ).sealed()
            )
    return tuple(made)


def _first(plan: Plan, said: Said) -> dict[str, StepRouting] | None:
    """Steps of a plan that has no table, from the newest spec that speaks of just these."""
    for one in [*([said.today] if said.today else []), *said.before()]:
        table = compile_routing(one, plan, "", 0)
        if misfit(plan, table) is None:
            return table.steps
    return None


def _today(before: StepRouting, now: StepRouting | None) -> StepRouting:
    match before, now:
        case SplitRouting(), SplitRouting() if before.weights.keys() == now.weights.keys():
            return now
        case ShadowRouting(), ShadowRouting() if before.samples.keys() == now.samples.keys():
            return now
        case _:
            return before


def _canaries(plan: Plan, said: Said) -> dict[str, CanaryRouting]:
    """Canaries of a plan that try the same bytes in the same way as those that were judged."""
    return {
        name: one
        for name, one in said.canaries.items()
        if said.plan and _trial(plan, name) == _trial(said.plan, name) is not None
    }


def _trial(plan: Plan, name: str) -> tuple[object, ...] | None:
    """What makes a canary of a plan the one that it is."""
    versions = {one.name: one.version for one in plan.models}
    for one in plan.steps:
        if one.name == name and isinstance(one, PlanCanary):
            pair = versions[one.stable], versions[one.candidate]
            return one.stable, one.candidate, pair, one.hash_key, one.salt
    return None
