"""A canary as the operator's pure half sees it: time, pods and objects are made up."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from makers import Document, make_document, make_resolved
from sights import NOW, Object, as_stored, decided, serving
from tiltyard_api.evidence import CanaryCounts, CanaryReport, Tally, Units
from tiltyard_api.names import CANARY_ANNOTATION
from tiltyard_api.routing import CanaryRouting, RoutingTable
from tiltyard_api.v1alpha1.conditions import ConditionType
from tiltyard_api.v1alpha1.stage import Latch
from tiltyard_api.v1alpha1.status import Condition, PipelineStatus, StepStatus
from tiltyard_operator.canaries import to_be_kept, to_be_stored
from tiltyard_operator.decide import Decision
from tiltyard_operator.desired.config import evidence_config, routing_config
from tiltyard_operator.events import Event, events
from tiltyard_operator.findings import condition
from tiltyard_operator.observed import Answer, Observed, Unwritten
from tiltyard_operator.status import Made, next_look, plain, report, worth_writing

STEP = "price"
FACTS = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
STEPS = {"steps": [{"weight": 10, "hold": "1m"}, {"weight": 50}, {"weight": 100, "hold": "1m"}]}


def canary(ramp: Document | None = None, **guards: Any) -> Document:
    """Give `PRICES` with a canary of its two models in place of the split."""
    said = {"stable": "a", "candidate": "b", "ramp": ramp or STEPS}
    said["guards"] = {"minUnits": 20, **guards}
    document = make_document(remove=["spec.steps[0].split"])
    document["spec"]["steps"][0]["canary"] = said
    return document


class Ramp:
    """A Pipeline with a canary, and an operator that may die between any two looks."""

    def __init__(self, document: Document | None = None, pods: int = 2) -> None:
        self.now = NOW
        self.document = document or canary()
        self.annotations: dict[str, str] = {}
        self.status = PipelineStatus()
        self.read = serving(self.document, FACTS, pods)
        self.generation = 1
        self.evidence: Object | None = None
        self.unwritten = Unwritten()
        self.told: list[Event] = []
        self.stored = 0
        self.written = 0
        self.again: float | None = None
        self.counts = dict.fromkeys(self.read["said"], (0, 0, 0, 0))
        """Of each pod in this stage: units and errors of the candidate, then of the stable one."""

        self.latches: dict[str, Latch] = {}
        self.silent: dict[str, float] = {}
        """Since when a pod says nothing."""

        self._routing: Object
        self._keep(self.read.pop("routing"))

    def look(self, seconds: float = 0.0) -> Decision:
        """Let time pass and the operator look once; then pods run what it wrote."""
        self.now += seconds
        seen, decision = self._decided()
        kept = to_be_kept(self.status, decision.canaries)
        if kept:
            self._tell(kept)
        if to_be_stored(seen, decision.canaries, self.now):
            self.evidence = self._stamped(evidence_config(seen.owner, decision.canaries.ledgers))
            self.stored += 1
        self.unwritten = Unwritten(decision.canaries.ledgers, frozenset(self.read["said"]))
        made = Made(seen.workload, routed=decision.tables != seen.tables)
        status = report(seen, decision, made, self.now)
        if worth_writing(self.status, status, self.now):
            self._tell(status)
        self.again = next_look(seen, decision, made, self.now)
        self._keep(routing_config(seen.owner, decision.tables))
        return decision

    def die(self) -> None:
        """End the operator: what it only remembered is gone."""
        self.unwritten = Unwritten()

    def backup(self) -> Callable[[], None]:
        """Give what takes the API server back to now; pods stay as they will be then."""
        status, routing, evidence = self.status, self._routing, self.evidence

        def restore() -> None:
            self.status, self._routing, self.evidence = status, routing, evidence
            self.die()

        return restore

    def apply(self, document: Document) -> None:
        """Apply another manifest."""
        self.document = document
        self.generation += 1

    def order(self, word: str) -> None:
        """Say something to the canary, as the command line does."""
        self.annotations[CANARY_ANNOTATION] = word

    def count(
        self, pod: str, candidate: int, errors: int = 0, stable: int = 0, bad: int = 0
    ) -> None:
        """Let a pod count units in the stage that is in force."""
        more = (candidate, errors, stable, bad)
        self.counts[pod] = tuple(map(sum, zip(self.counts[pod], more, strict=True)))  # type: ignore[assignment]  # four again

    def lose(self, pod: str) -> None:
        """Let a pod go without a word."""
        self.read["pods"] = [one for one in self.read["pods"] if one["metadata"]["name"] != pod]
        del self.counts[pod], self.read["said"][pod]

    @property
    def step(self) -> StepStatus:
        """What the status says of the canary."""
        return next(one for one in self.status.steps or () if one.name == STEP)

    @property
    def routing(self) -> CanaryRouting:
        """What engines run."""
        found = self.table.steps[STEP]
        assert isinstance(found, CanaryRouting)
        return found

    def says(self, kind: str) -> Condition:
        """Give a condition."""
        found = condition(self.status.conditions, ConditionType(kind))
        assert found, f"nothing is said of {kind}"
        return found

    def _decided(self) -> tuple[Observed, Decision]:
        said = {name: self._answer(name) for name in self.read["said"]}
        stored = as_stored(self.document, self.generation, status=plain(self.status))
        stored["metadata"]["annotations"] = self.annotations
        read = self.read | {"said": said, "routing": self._routing, "evidence": self.evidence}
        return decided(self.document, stored=stored, now=self.now, unwritten=self.unwritten, **read)

    def _answer(self, pod: str) -> Answer:
        if pod in self.silent:
            return Answer(silent_since=self.silent[pod])
        table, stage = self.table, self.routing.stage_id
        reports = {}
        if self.routing.stage:
            candidate, errors, stable, bad = self.counts[pod]
            counts = CanaryCounts(
                incarnation=f"of-{pod}",
                stage=stage,
                keyed=False,
                stable=Tally(units=Units(count=stable), errors=Units(count=bad)),
                candidate=Tally(units=Units(count=candidate), errors=Units(count=errors)),
            )
            reports[STEP] = CanaryReport(counts=counts, latch=self.latches.get(pod))
        return Answer(table.plan, table.revision, table.hash, {}, reports)

    def _keep(self, routing: Object) -> None:
        before = getattr(self, "table", None)
        self._routing = self._stamped(routing)
        (text,) = routing["data"].values()
        self.table = RoutingTable.model_validate_json(text)
        if before and before.steps[STEP].stage_id != self.routing.stage_id:
            self.counts = dict.fromkeys(self.counts, (0, 0, 0, 0))

    def _stamped(self, obj: Object) -> Object:
        time = f"{datetime.fromtimestamp(self.now, UTC):%Y-%m-%dT%H:%M:%SZ}"
        managed = [{"manager": "tiltyard-operator", "time": time, "fieldsV1": {}}]
        return {**obj, "metadata": {**obj["metadata"], "managedFields": managed}}

    def _tell(self, status: PipelineStatus) -> None:
        self.told += events(self.status, status)
        self.status = status
        self.written += 1
