"""The step where a champion answers and challengers get the same input."""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError

from tiltyard_api.plan import PlanShadow
from tiltyard_api.routing import RoutingTable, ShadowRouting
from tiltyard_core.draws import DRAW_SPACE
from tiltyard_engine.call import Call, Served
from tiltyard_engine.columns import Columns
from tiltyard_engine.comparison import comparer
from tiltyard_engine.execute import Job
from tiltyard_engine.lane import Lane
from tiltyard_engine.mirrored import Answer
from tiltyard_engine.steps.base import Context, ModelRunner

Waiting = list[tuple[Call, str, Answer]]


class ShadowStep:
    """Answers with the champion's outputs; challengers never change them."""

    def __init__(
        self, plan: PlanShadow, runners: Mapping[str, ModelRunner], lanes: Mapping[str, Lane]
    ) -> None:
        self.name = plan.name
        self._plan = plan
        self._champion = runners[plan.champion]
        self._challengers = {name: runners[name] for name in plan.challengers}
        self._lanes = lanes
        self._compare = comparer(plan)
        self._samples: Mapping[str, float] = {}
        """By challenger, the draws that it sees: those below."""

        self._sees_all: list[str] = []
        """All challengers, where each sees every request: nothing is drawn then."""

    def route(self, table: RoutingTable) -> None:
        """Put sampling in force."""
        routing = table.steps[self.name]
        if not isinstance(routing, ShadowRouting):
            raise TypeError(f"step {self.name!r} is a shadow, the table has a {routing.kind}")
        self._samples = {name: share * DRAW_SPACE for name, share in routing.samples.items()}
        everything = all(share >= 1 for share in routing.samples.values())
        self._sees_all = list(routing.samples) if everything else []

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Run the champion; challengers beside it where they answer, afterwards where not."""
        chosen = [self._sampled(context) for _ in calls]
        deadline = time.monotonic() + self._plan.budget
        waiting = self._ask(calls, chosen) if self._plan.respond else []
        jobs = [Job(self._champion.inputs(call), call.rows) for call in calls]
        results = self._champion.run(self.name, calls, jobs, context)
        for call, names, ran in zip(calls, chosen, results, strict=True):
            if ran is None:
                continue
            call.outputs[self.name] = ran.outputs
            call.served[self.name] = Served([self._plan.champion])
            if names and not self._plan.respond:
                call.mirrors += ((self.name, names),)
        for call, name, answer in waiting:
            outputs = _wait(answer, deadline)
            call.beside[self.name][name] = outputs
            if outputs is not None and self.name in call.outputs:
                compared = self._compare(call.outputs[self.name], outputs, call.rows)
                call.compared += ((self.name, name, compared),)

    def _sampled(self, context: Context) -> Sequence[str]:
        """Challengers that see a request: one draw for all, so that samples are nested."""
        if self._sees_all:
            return self._sees_all
        draw = context.random()
        return [name for name, end in self._samples.items() if draw < end]

    def _ask(self, calls: Sequence[Call], chosen: Sequence[Sequence[str]]) -> Waiting:
        """Give challengers their requests, for answers that are waited for."""
        waiting: Waiting = []
        for call, names in zip(calls, chosen, strict=True):
            answers: dict[str, Columns | None] = dict.fromkeys(self._challengers)
            call.beside = {**call.beside, self.name: answers}
            for name in names:
                answer: Answer = Future()
                taken = self._lanes[name].ask(
                    self._challengers[name].inputs(call), call.rows, answer
                )
                call.offers += ((self.name, name, taken),)
                waiting.append((call, name, answer))
        return waiting


def _wait(answer: Answer, deadline: float) -> Columns | None:
    try:
        return answer.result(max(deadline - time.monotonic(), 0))
    except FutureTimeoutError:
        answer.cancel()
        return None
