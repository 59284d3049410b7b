"""Canaries and counts for tests that name only what matters to them."""

from collections.abc import Iterable, Mapping

from makers import Document, make_pipeline, make_resolved
from tiltyard_api.evidence import CanaryCounts, Tally, Units
from tiltyard_api.plan import Plan
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_core.canary import Wanted, wanted
from tiltyard_core.compile import compile_plan
from tiltyard_core.counts import keyed_tally

STEPS: Document = {
    "steps": [
        {"weight": 5, "hold": "10m"},
        {"weight": 25, "hold": "10m"},
        {"weight": 100, "hold": "10m"},
    ]
}


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
