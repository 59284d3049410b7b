"""The step that makes one list of what two rankers give."""

from collections.abc import Mapping, Sequence

import numpy as np

from tiltyard_api.plan import PlanInterleave
from tiltyard_api.routing import RoutingTable
from tiltyard_api.v1alpha1.interleave import TEAM_SUFFIX
from tiltyard_core.interleaving import team_draft
from tiltyard_engine.call import Call, Served
from tiltyard_engine.columns import DTYPES, Array, Column, Columns, rows_of, stack
from tiltyard_engine.errors import Refusal
from tiltyard_engine.execute import Job
from tiltyard_engine.steps.base import Context, ModelRunner
from tiltyard_engine.steps.draws import Draws


class InterleaveStep:
    """Gives every row a list by team draft; a pinned ranker's list is given as it is."""

    def __init__(self, plan: PlanInterleave, runners: Mapping[str, ModelRunner]) -> None:
        self.name = plan.name
        self._plan = plan
        self._draws = Draws(plan.name, plan.hash_key, plan.salt)
        self._runners = runners
        self._dtype = DTYPES[plan.outputs[0].type]

    def route(self, table: RoutingTable) -> None:
        """Nothing to route: both rankers run."""

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Run both rankers, then draft."""
        draws: dict[int, list[int]] = {}
        for place, call in enumerate(calls):
            try:
                draws[place] = self._draw(call, context)
            except Refusal as refusal:
                call.refuse(refusal, self.name)
        ranked = [self._rank(ranker, calls, list(draws), context) for ranker in self._runners]
        for place, drawn in draws.items():
            if calls[place].refusal is None:
                lists = {name: given[place] for name, given in ranked if place in given}
                calls[place].outputs[self.name] = self._merged(lists, drawn)

    def _draw(self, call: Call, context: Context) -> list[int]:
        """One draw for the call, or one a row; none where a ranker is pinned."""
        pin = call.pins.get(self.name)
        if pin is None:
            draws, counted = self._draws.of(call, context)
            call.ranked[self.name] = Served([], None, [], counted, draws)
            return draws
        call.served[self.name] = Served([pin], counted=False)
        return []

    def _rank(
        self, ranker: str, calls: Sequence[Call], places: Sequence[int], context: Context
    ) -> tuple[str, dict[int, Column]]:
        """Lists of one ranker, by the place of the call."""
        mine = [place for place in places if calls[place].pins.get(self.name, ranker) == ranker]
        asking = [calls[place] for place in mine]
        runner = self._runners[ranker]
        jobs = [Job(runner.inputs(call), call.rows) for call in asking]
        results = runner.run(self.name, asking, jobs, context) if jobs else []
        output = self._plan.output
        given = {
            place: ran.outputs[output] for place, ran in zip(mine, results, strict=True) if ran
        }
        return ranker, given

    def _merged(self, lists: Mapping[str, Column], draws: Sequence[int]) -> Columns:
        """Lists of a call's rows, and the teams of their places by name."""
        names = (*lists, "")  # a place of nobody's is the last
        by_row = zip(*(rows_of(column) for column in lists.values()), strict=True)
        merged: list[Array] = []
        teams: list[Array] = []
        for row, rankings in enumerate(by_row):
            items, team = self._draft([one.tolist() for one in rankings], draws, row)
            merged.append(np.array(items, self._dtype))
            teams.append(np.array([names[one] for one in team], object))
        output = self._plan.output
        return {output: stack(merged), f"{output}{TEAM_SUFFIX}": stack(teams)}

    def _draft(
        self, rankings: Sequence[Sequence[int | str]], draws: Sequence[int], row: int
    ) -> tuple[list[int | str], list[int]]:
        length = self._plan.length
        if not draws:
            items = list(dict.fromkeys(rankings[0]))[:length]
            return items, [0] * len(items)
        return team_draft(rankings, length, draws[row if len(draws) > 1 else 0])
