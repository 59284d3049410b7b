"""Which weights each live plan has, and with which revision they are written. Pure."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from tiltyard_api.plan import Plan
from tiltyard_api.routing import RoutingTable, ShadowRouting, SplitRouting, StepRouting
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.compile import compile_routing
from tiltyard_core.tables import misfit
from tiltyard_operator.observed import Answer


def tables(
    plans: Mapping[str, Plan],
    today: Pipeline | None,
    before: Callable[[], Iterable[Pipeline]],
    uid: str,
    there: Sequence[RoutingTable],
    answers: Iterable[Answer],
) -> tuple[RoutingTable, ...]:
    """Give the table of every plan that has pods.

    Args:
        plans: those, by their hashes.
        today: what the user says; None: nothing that makes sense.
        before: gives what the user said before, newest first.
        uid: the Pipeline's.
        there: tables as they were written last.
        answers: what pods say that they run.

    A table keeps its revision as long as it stays the same. Else it gets one that is above all
    that were ever seen: pods refuse what is not newer than their own, so it is written anew too
    where one of them is ahead, as after an API server was restored from a backup.
    """
    ahead = {one.plan: one.revision for one in answers if one.plan and one.revision is not None}
    top = max([0, *(one.revision for one in there), *ahead.values()])
    made = []
    for plan_hash, plan in plans.items():
        old = next(
            (one for one in there if one.plan == plan_hash and one.pipeline_uid == uid), None
        )
        if old and (misfit(plan, old) or not old.hash):
            old = None
        steps = old.steps if old else _first(plan, today, before)
        if steps and today:
            said = compile_routing(today, plan, uid, 0).steps
            steps = {name: _today(step, said.get(name)) for name, step in steps.items()}
        if steps is None:
            continue
        if old and old.steps == steps and ahead.get(plan_hash, 0) <= old.revision:
            made.append(old)
        else:
            made.append(
                RoutingTable(
                    plan=plan_hash, pipeline_uid=uid, revision=top + 1, steps=steps
                ).sealed()
            )
    return tuple(made)


def _first(
    plan: Plan, today: Pipeline | None, before: Callable[[], Iterable[Pipeline]]
) -> dict[str, StepRouting] | None:
    """Steps of a plan that has no table, from the newest spec that speaks of just these."""
    for one in [*([today] if today else []), *before()]:
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
