"""What gauges tell of Pipelines, by what was last said of each."""

from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_operator.census import Census
from tiltyard_operator.decide import Decision
from tiltyard_operator.estimates import Estimates
from tiltyard_operator.metrics import CANARIES, EXPERIMENTS, PIPELINES
from tiltyard_operator.queue import Key


class Gauges:
    """Everything that Prometheus is told of Pipelines, not of the operator's own work."""

    def __init__(self) -> None:
        self._phases = Census(PIPELINES)
        self._canaries = Census(CANARIES)
        self._experiments = Census(EXPERIMENTS)
        self._estimates = Estimates()

    def note(self, key: Key, decision: Decision, status: PipelineStatus) -> None:
        """Tell how a Pipeline is."""
        verdicts = {one.name: one.verdict for one in status.steps or () if one.verdict}
        self._phases.note(key, *([status.phase] if status.phase else []))
        self._canaries.note(key, *(one.reason for one in decision.canaries.outcomes.values()))
        self._experiments.note(key, *(one.reason for one in verdicts.values()))
        self._estimates.note(key, verdicts)

    def forget(self, key: Key) -> None:
        """Tell nothing of a Pipeline that is gone."""
        for one in (self._phases, self._canaries, self._experiments, self._estimates):
            one.note(key)
