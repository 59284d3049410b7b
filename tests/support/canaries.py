"""Canaries and counts for tests that name only what matters to them."""

from collections.abc import Iterable, Mapping

from makers import Document, make_pipeline, make_resolved
from tiltyard_api.base import canonical
from tiltyard_api.evidence import CanaryCounts, Tally, Units
from tiltyard_api.plan import Plan
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.stage import CanaryState, Latch
from tiltyard_core.canary import Outcome, Seen, Wanted, decide, routing, wanted
from tiltyard_core.compile import compile_plan
from tiltyard_core.counts import keyed_tally

STEPS: Document = {
    "steps": [
        {"weight": 5, "hold": "10m"},
        {"weight": 25, "hold": "10m"},
        {"weight": 100, "hold": "10m"},
    ]
}

START = 1_700_000_000.0
HOLD = 600.0
"""Seconds of a stage of `STEPS`."""

QUICK = {"minUnits": 0}
"""Guards that let a stage go without traffic."""


def canary_pipeline(
    ramp: Document | None = None,
    guards: Document | None = None,
    deployment: Document | None = None,
    **fields: object,
) -> Pipeline:
    """Give a Pipeline whose only step is a canary of `a` (stable) and `b`."""
    canary = {"stable": "a", "candidate": "b", "ramp": ramp or STEPS, **fields}
    step = {"name": "swap", "canary": canary | ({"guards": guards} if guards else {})}
    return make_pipeline([step], deployment=deployment or {"replicas": 1})


def canary_plan(pipeline: Pipeline, seeds: Mapping[str, str] | None = None) -> Plan:
    """Compile it; another seed gives a model other bytes."""
    given = {"a": "a", "b": "b", "c": "c", **(seeds or {})}
    return compile_plan(pipeline, {name: make_resolved(seed=seed) for name, seed in given.items()})


def make_wanted(
    ramp: Document | None = None,
    guards: Document | None = None,
    deployment: Document | None = None,
    seeds: Mapping[str, str] | None = None,
    **fields: object,
) -> Wanted:
    """Give what such a Pipeline wants of its canary."""
    pipeline = canary_pipeline(ramp, guards, deployment, **fields)
    return wanted(pipeline, "swap", canary_plan(pipeline, seeds))


def request_counts(
    stage: str = "r-1",
    stable: tuple[int, int] = (0, 0),
    candidate: tuple[int, int] = (0, 0),
    incarnation: str = "one",
) -> CanaryCounts:
    """Give counts of requests: of each model all and those that failed."""
    return CanaryCounts(
        incarnation=incarnation,
        stage=stage,
        keyed=False,
        stable=_tally(*stable),
        candidate=_tally(*candidate),
    )


def key_counts(
    stage: str = "r-1",
    stable: Iterable[int] = (),
    candidate: Iterable[int] = (),
    stable_bad: Iterable[int] = (),
    candidate_bad: Iterable[int] = (),
    **fields: object,
) -> CanaryCounts:
    """Give counts of keys by their draws: of each model all and those that it failed."""
    return CanaryCounts.model_validate(
        {
            "incarnation": "one",
            "stage": stage,
            "keyed": True,
            "stable": _keys(stable, stable_bad),
            "candidate": _keys(candidate, candidate_bad),
            **fields,
        }
    )


def _tally(units: int, errors: int) -> Tally:
    return Tally(units=Units(count=units), errors=Units(count=errors))


def _keys(units: Iterable[int], errors: Iterable[int]) -> Tally:
    sets = {"units": frozenset(units), "errors": frozenset(errors)}
    return keyed_tally(sets | {"latency": frozenset(), "invalid": frozenset()})


def edited(ramp: Document | None = None, **guards: object) -> Wanted:
    """Give a canary as its user may have changed it."""
    return make_wanted(ramp, {**QUICK, **guards})


class Canary:
    """A canary; what is kept of it goes through its written form."""

    def __init__(self, want: Wanted, now: float = START) -> None:
        self.want, self.now = want, now
        self.state: CanaryState | None = None
        self.outcome = self.look(in_force=False)

    def look(
        self,
        after: float = 0,
        *,
        in_force: bool = True,
        stable: tuple[int, int] = (0, 0),
        candidate: tuple[int, int] | None = None,
        order: str = "",
        latches: tuple[Latch, ...] = (),
    ) -> Outcome:
        """Look at it once, so many seconds after the last time."""
        self.now += after
        counts: CanaryCounts | None = None
        if candidate is not None:
            counts = request_counts(self.stage, stable, candidate)
        seen = Seen(counts=counts, in_force=in_force, order=order, latches=latches)
        self.outcome = decide(self.want, self.state, seen, self.now)
        self.state = CanaryState.model_validate_json(canonical(self.outcome.state))
        return self.outcome

    @property
    def stage(self) -> str:
        """Name of the stage that it is in."""
        return self.state.stage.id if self.state else ""

    @property
    def number(self) -> int:
        """Number of that stage."""
        assert self.state
        return self.state.stage.number

    @property
    def share(self) -> float:
        """What the candidate gets, in percent."""
        assert self.state
        table = routing(self.want, self.state)
        return 0 if table.latched else table.weight

    @property
    def fair(self) -> tuple[int, int]:
        """Units of a candidate that fails none, of 10,000."""
        return int(100 * self.share), 0

    def reach(self, number: int) -> "Canary":
        """Let it come to a stage without trouble."""
        for _ in range(number - self.number):
            self.look()
            self.look(HOLD, stable=(int(10_000 - 100 * self.share), 0), candidate=self.fair)
        self.look()
        return self
