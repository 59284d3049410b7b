"""A Pipeline as one worker serves it: the data plane with its counters and its challengers."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiltyard_api.plan import Plan, PlanCanary, PlanRecords, PlanShadow
from tiltyard_api.routing import CanaryRouting, RoutingTable
from tiltyard_engine.call import Call
from tiltyard_engine.comparison import comparer
from tiltyard_engine.counters import Block
from tiltyard_engine.dataplane import Dataplane
from tiltyard_engine.feedback.experiment import Assigning, Opened
from tiltyard_engine.inforce import tell
from tiltyard_engine.lane import Lane
from tiltyard_engine.metrics import READY
from tiltyard_engine.model import Model
from tiltyard_engine.outbox import LaneKey, Outbox
from tiltyard_engine.record import Recorder, weight_parts
from tiltyard_engine.recording.taking import Recording
from tiltyard_engine.steps.canary import CanaryStep
from tiltyard_engine.tables import RoutingRefused, read_table
from tiltyard_engine.tally import CanaryRecorder, CanaryTally
from tiltyard_engine.validations.judge import BUDGET, Judge

HOLD_SECONDS = 0.005
"""Answered calls are held so long, to be offered to challengers together: one by one, the work of
handing them over would slow the requests that come next."""

HELD_BYTES = 256 << 10
"""Most that is held, as far as requests tell by their length."""

CALL_BYTES = 4 << 10
"""What a call takes beside that."""

LANE_SECONDS = 1.0
"""How long the end of an engine waits for its challengers, however many hang."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is loaded before workers are forked, and shared by them."""

    plan: Plan
    table: RoutingTable
    sessions: Mapping[str, Model]
    records: PlanRecords | None = None
    """What is written down, by the plan or by who started the engine."""

    experiment: Opened | None = None
    """What feedback is summed up by."""


class ServedPipeline:
    """One Pipeline in one worker."""

    def __init__(
        self, loaded: Loaded, block: Block, outbox: Outbox, validation_budget: float = BUDGET
    ) -> None:
        self.plan = loaded.plan
        self.recording: Recording | None = None
        """Takes what is written down, where anything is."""

        self._block = block
        self._outbox = outbox
        self._lanes: list[Lane] = []
        self._answered: list[Call] = []
        self._held = 0
        self._tallies: list[CanaryTally] = []
        canaries = any(isinstance(step, PlanCanary) for step in loaded.plan.steps)
        self.recorder = (
            CanaryRecorder(loaded.plan, block, self._tallies)
            if canaries
            else Recorder(loaded.plan, block)
        )
        self._sessions = loaded.sessions
        self._judge = Judge(loaded.plan, validation_budget) if loaded.plan.validations else None
        self.plane = Dataplane(
            loaded.plan, loaded.table, loaded.sessions, self._make_lanes, self._judge
        )
        self._note_routing()
        self.opened = loaded.experiment
        self.assigning = Assigning(loaded.experiment) if loaded.experiment else None

    def begin(self) -> None:
        """Begin to count canaries by what is in force now.

        Not before the newest table is: what a worker before us counted belongs to its stage.
        """
        plan, steps = self.plan, zip(self.plan.steps, self.plane.steps, strict=True)
        self._tallies += [
            CanaryTally(plan.pipeline, planned, step, self._block, self._note_weights)
            for planned, step in steps
            if isinstance(planned, PlanCanary) and isinstance(step, CanaryStep)
        ]
        self._count_by(self.plane.routing)

    def _make_lanes(self, step: PlanShadow) -> dict[str, Lane]:
        """Lanes of challengers whose answers are waited for; all others run elsewhere."""
        lanes = {
            name: Lane(
                self._sessions[name],
                step.timeout,
                self.recorder.account(step.name, name),
                comparer(step),
            )
            for name in (step.challengers if step.respond else ())
        }
        self._lanes += lanes.values()
        return lanes

    @property
    def ready(self) -> bool:
        """Whether the worker takes requests, and does not end soon."""
        return self._block.words[self._block.offset(READY.metric)] == 1

    def hold(self, call: Call, size: int) -> float | None:
        """Hold an answered call that challengers are to see, or that may be written down.

        Args:
            call: with its outputs, or refused.
            size: bytes of the request.

        Returns:
            Seconds until what is held should be flushed; None: somebody was told already.

        """
        held = self._held
        recorded = self.recording is not None and self.recording.take(call)
        if call.mirrors:
            self._answered.append(call)
        elif not recorded:
            return None
        self._held += CALL_BYTES + size
        if held <= HELD_BYTES < self._held:
            return 0.0
        return None if held else HOLD_SECONDS

    def flush(self) -> None:
        """Offer challengers what was answered, and hand over what is written down."""
        calls, self._answered, self._held = self._answered, [], 0
        offers: dict[tuple[str, str], list[Call]] = {}
        for call in calls:
            for step, challengers in call.mirrors:
                for challenger in challengers:
                    offers.setdefault((step, challenger), []).append(call)
        for (step, challenger), seen in offers.items():
            taken = self._outbox.offer(LaneKey(self.plan.pipeline, step, challenger), seen)
            self.recorder.offered(step, challenger, len(seen), taken)
        if self.recording is not None:
            self.recording.flush()

    def route(self, table: RoutingTable) -> None:
        """Put a newer routing table in force, or count why not.

        Raises:
            RoutingRefused: it does not fit; the one in force stays.

        """
        try:
            self.plane.route(table)
        except RoutingRefused as refused:
            self._count_refused(refused.reason)
            raise
        self._count_by(table)
        self._note_routing()

    def route_by(self, path: Path) -> None:
        """Put the routing table of a file in force, or count why not.

        Raises:
            RoutingRefused: it cannot be read or does not fit; the one in force stays.

        """
        try:
            table = read_table(path)
        except RoutingRefused as refused:
            self._count_refused(refused.reason)
            raise
        self.route(table)

    def _count_refused(self, reason: str) -> None:
        name = self.plan.pipeline
        self._block.words[self._block.offset("tiltyard_routing_refused_total", name, reason)] += 1

    def heed(self) -> None:
        """Obey what other workers of the engine have found of its candidates."""
        for tally in self._tallies:
            tally.heed()

    def _count_by(self, table: RoutingTable) -> None:
        """Count canaries for a table's stages."""
        for tally in self._tallies:
            routing = table.steps[tally.name]
            if isinstance(routing, CanaryRouting):
                tally.begin(routing)

    def _note_routing(self) -> None:
        """Tell what is in force through the counter file."""
        self._note_weights()
        tell(self._block, self.plan.pipeline, self.plane.routing)

    def _note_weights(self) -> None:
        """Tell the shares in force: a candidate that is latched has none."""
        name, words = self.plan.pipeline, self._block.words
        for (step, variant), share in self.plane.shares().items():
            weight = self._block.offset("tiltyard_variant_weight", name, step, variant)
            words[weight] = weight_parts(share)

    def close(self) -> None:
        """End the lanes; what waits in them is counted as dropped. End what validates."""
        deadline = time.monotonic() + LANE_SECONDS
        for lane in self._lanes:
            lane.close()
        for lane in self._lanes:
            lane.finish(deadline)
        if self._judge:
            self._judge.close()
