"""What is known of the models of a Pipeline, and what is to be tried to know the rest. Pure."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from tiltyard_api.v1alpha1.conditions import ConditionReason, ConditionType
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_api.v1alpha1.pipeline import Pipeline
from tiltyard_api.v1alpha1.status import Condition
from tiltyard_operator.desired.history import Fact, Version
from tiltyard_operator.desired.resolving import Trial, resolve_key
from tiltyard_operator.kinds import Object
from tiltyard_operator.trials import Attempt
from tiltyard_operator.verdicts import Verdict

Attempts = Mapping[str, Sequence[Attempt]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is known of one model."""

    fact: Fact | None = None
    verdict: Verdict | None = None
    """Why nothing is known."""

    final: bool = False
    """Whether the verdict is that it cannot be had, not that it is on its way."""

    trial: Trial | None = None
    """What is to be started."""

    spent: Attempt | None = None
    """Job of an earlier trial, which has to go first."""

    due: float | None = None
    """When to look again by oneself."""


def find(pipeline: Pipeline, known: "Known", attempts: Attempts, now: float) -> dict[str, Finding]:
    """Say of each model what is known of it, by its name."""
    return {
        one.name: _finding(one.entry, known, attempts, now)
        if not one.model_ref
        else _finding_of_model(one.entry, one.model_ref.name, known, attempts)
        for one in pipeline.spec.models
        if one.entry
    }


def unknown_keys(pipeline: Pipeline, known: "Known") -> set[str]:
    """Keys of the models about which only trials could tell."""
    keys = {resolve_key(one.entry) for one in pipeline.spec.models if one.entry}
    return {key for key in keys if key not in known.facts}


@dataclass(frozen=True, slots=True)
class Known:
    """Facts from elsewhere than trials."""

    facts: Mapping[str, Fact]
    """By key: of this Pipeline's versions and of the Models that it refers to."""

    models: Mapping[str, Object]

    @classmethod
    def of(cls, versions: Iterable[Version], models: Mapping[str, Object]) -> "Known":
        """Collect what is known: the newest word on each key counts."""
        facts = dict(_facts_of_models(models))
        for version in sorted(versions, key=lambda one: one.number):
            facts |= {fact.key: fact for fact in version.record.resolved.values()}
        return cls(facts, models)


def read_model_status(model: Object) -> ModelStatus:
    """Status of a Model; an empty one where it makes no sense."""
    try:
        return ModelStatus.model_validate_json(json.dumps(model.get("status") or {}))
    except ValidationError:
        return ModelStatus()


def condition(conditions: Iterable[Condition] | None, type_: ConditionType) -> Condition | None:
    """Find a condition."""
    return next((one for one in conditions or () if one.type == type_), None)


def attempt_at(entry: ModelEntry, attempts: Attempts, now: float) -> Finding:
    """Find what trials say of a model, and which is to be started."""
    jobs = attempts.get(resolve_key(entry), ())
    fact = next((job.fact for job in jobs if job.fact), None)
    if fact:
        return Finding(fact)
    own = next((job for job in jobs if job.ours), None)
    if own is None:
        shared = any(job.ended_at is None for job in jobs)
        verdict = Verdict(ConditionReason.RESOLVING, "is fetched and tried")
        trial, due = (None, now + 2) if shared else (Trial(entry), None)
        return Finding(verdict=verdict, trial=trial, due=due)
    if own.failure is None:
        return Finding(verdict=Verdict(ConditionReason.RESOLVING, "is fetched and tried"))
    if own.due is None or own.due > now:
        return Finding(verdict=own.failure, final=True, due=own.due)
    said = f"{own.failure.reason}: {own.failure.message}"
    trial = Trial(entry, own.number + 1, said)
    return Finding(verdict=own.failure, final=True, trial=trial, spent=own)


def _finding(entry: ModelEntry, known: Known, attempts: Attempts, now: float) -> Finding:
    fact = known.facts.get(resolve_key(entry))
    return Finding(fact) if fact else attempt_at(entry, attempts, now)


def _finding_of_model(entry: ModelEntry, model: str, known: Known, attempts: Attempts) -> Finding:
    """Find what is known of a Model: it has a trial of its own, which is not ours to start."""
    key = resolve_key(entry)
    fact = known.facts.get(key) or next(
        (job.fact for job in attempts.get(key, ()) if job.fact), None
    )
    if fact:
        return Finding(fact)
    stalled = condition(read_model_status(known.models[model]).conditions, ConditionType.STALLED)
    if stalled:
        said = f"Model {model} is not ready: {stalled.message}"
        return Finding(verdict=Verdict(ConditionReason.MODEL_NOT_READY, said), final=True)
    return Finding(verdict=Verdict(ConditionReason.MODEL_NOT_READY, f"Model {model} is not ready"))


def _facts_of_models(models: Mapping[str, Object]) -> Iterator[tuple[str, Fact]]:
    for model in models.values():
        status = read_model_status(model)
        ready, resolved = condition(status.conditions, ConditionType.READY), status.resolved()
        generation = model["metadata"].get("generation", 0)
        fresh = ready and ready.status == "True" and ready.observed_generation == generation
        entry = entry_of(model)
        if fresh and resolved and entry:
            key = resolve_key(entry)
            yield key, Fact(key=key, resolved=resolved, address=status.address)


def entry_of(model: Object) -> ModelEntry | None:
    """Give what a Model describes; None where its spec makes no sense."""
    try:
        return ModelEntry.model_validate_json(json.dumps({**model["spec"], "name": "model"}))
    except (KeyError, TypeError, ValidationError):
        return None
