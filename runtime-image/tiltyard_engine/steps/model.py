"""The step that runs one model."""

from collections.abc import Sequence

from tiltyard_api.plan import PlanModelStep
from tiltyard_api.routing import RoutingTable
from tiltyard_engine.call import Call
from tiltyard_engine.execute import Job
from tiltyard_engine.steps.base import Context, ModelRunner


class ModelStep:
    """Gives every call the outputs of one model."""

    def __init__(self, plan: PlanModelStep, runner: ModelRunner) -> None:
        self.name = plan.name
        self._runner = runner

    def route(self, table: RoutingTable) -> None:
        """Nothing to route: there is one model."""

    def run(self, calls: Sequence[Call], context: Context) -> None:
        """Run the model for all calls."""
        jobs = [Job(self._runner.inputs(call), call.rows) for call in calls]
        for call, ran in zip(calls, self._runner.run(self.name, calls, jobs, context), strict=True):
            if ran:
                call.outputs[self.name] = ran.outputs
