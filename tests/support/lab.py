"""Experiments of one engine in a folder: ids of answers, and feedback on them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from makers import Document, make_pipeline, make_resolved
from tiltyard_api.plan import Plan
from tiltyard_core.compile import compile_plan
from tiltyard_core.draws import thresholds
from tiltyard_core.tokens import Token
from tiltyard_engine.call import Call, Served
from tiltyard_engine.counters import CounterFile, Layout
from tiltyard_engine.errors import Refusal
from tiltyard_engine.feedback.experiment import Assigning, Opened
from tiltyard_engine.feedback.results import feedback_series, stray_series
from tiltyard_engine.feedback.sums import Sums
from tiltyard_engine.feedback.taking import Feedback, Taker, Takers

RESOLVED = {
    "a": make_resolved(seed="a"),
    "b": make_resolved(seed="b"),
    "c": make_resolved("y float32[?,1] -> euro float32[?,1]"),
}
RANKED = {
    "a": make_resolved("x float32[?,4] -> items int64[?,-1]", seed="a"),
    "b": make_resolved("x float32[?,4] -> items int64[?,-1]", seed="b"),
    "c": RESOLVED["c"],
}
DAY = 86_400.0
METRICS: list[Document] = [
    {"name": "paid", "kind": "binary"},
    {"name": "visits", "kind": "count"},
    {"name": "revenue", "kind": "value"},
    {"name": "fraud", "kind": "label", "score": "price.y"},
]
INTERLEAVE: Document = {
    "name": "rank",
    "interleave": {"rankers": ["a", "b"], "output": "items"},
}


def plan_of(metrics: Sequence[Document] = METRICS, step: Document | None = None) -> Plan:
    """Compile a split of a and b by user, or another step, with an experiment."""
    steps = [step] if step else None
    pipeline = make_pipeline(steps, experiment={"metrics": list(metrics)})
    return compile_plan(pipeline, RANKED if step and "interleave" in step else RESOLVED)


@dataclass
class Lab:
    """One worker's part in an experiment."""

    folder: Path
    plan: Plan = field(default_factory=plan_of)
    uid: str = "u-1"
    secret: Path | None = None
    now: float = 1e9

    def __post_init__(self) -> None:
        """Open files, as a worker does."""
        self.opened = Opened(self.plan, self.uid, self.folder / "sums", self.secret)
        series = [*stray_series(), *feedback_series(self.plan)]
        self.folder.mkdir(exist_ok=True)
        self.counters = CounterFile(self.folder / "counters", Layout(series), 1)
        block = self.counters.blocks[0]
        self.assigning = Assigning(self.opened, lambda: self.now)
        taker = Taker(self.opened, block, 30 * DAY, lambda: self.now)
        self.takers = Takers({self.opened.tag: (self.opened, taker)}, block)
        self.sums = Sums(self.opened.book, self.opened.layout)

    def answer(
        self,
        draw: int = 1,
        variant: str = "a",
        *,
        rows: int = 1,
        score: float = 0.25,
        weights: Sequence[float] = (2, 1),
        counted: bool = True,
    ) -> Call:
        """Give a call that was answered by one variant, with its ids."""
        call = Call(rows, {}, {}, {}, inference_id="plain")
        draws = [draw] if counted else []
        ends = thresholds(list(weights))
        call.served["price"] = Served([variant], None, [], counted, draws, "", ends)
        call.outputs["price"] = {"y": np.full((rows, 1), score, np.float32)}
        return self.named(call)

    def interleaved(self, teams: Sequence[str], draw: int = 1) -> Call:
        """Give a call whose list has places of these rankers."""
        call = Call(1, {}, {}, {}, inference_id="plain")
        call.ranked["rank"] = Served([], None, [], True, [draw])
        places = np.empty((1, len(teams)), object)
        places[0] = list(teams)
        call.outputs["rank"] = {"items": np.arange(len(teams))[None], "items_team": places}
        return self.named(call)

    def token(self, draw: int, number: int, variant: int) -> str:
        """Sign an id without an answer: fast, for many."""
        experiment, tag = bytes.fromhex(self.opened.layout.id)[:4], self.opened.tag
        now = int(self.now)
        token = Token(0, tag, experiment, variant, 1, now, b"many", draw, number, 0.5)
        return self.opened.keys.signers[0].sign(token)

    def named(self, call: Call) -> Call:
        """Give a call its ids, and count for whom it was drawn."""
        self.assigning.name(call)
        self.assigning.count(call)
        return call

    def say(self, one: Feedback) -> Refusal | None:
        """Send feedback; gives what is wrong with it."""
        return self.takers.take([one])[0]
