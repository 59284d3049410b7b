"""The story of one Model: read it, try what is not known, say what it is and who uses it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tiltyard_api.faults import InvalidManifest
from tiltyard_api.manifest import read_model
from tiltyard_api.v1alpha1.conditions import ConditionReason, ConditionType, EventReason
from tiltyard_api.v1alpha1.model import ModelStatus
from tiltyard_api.v1alpha1.models import ModelEntry
from tiltyard_core.signature import plan_model, signature_faults
from tiltyard_operator.cluster import Cluster
from tiltyard_operator.conditions import Judged, stamped
from tiltyard_operator.decide import faults
from tiltyard_operator.desired.history import Fact
from tiltyard_operator.desired.metadata import Owner
from tiltyard_operator.desired.resolving import place_of_models, resolve_key
from tiltyard_operator.events import Event
from tiltyard_operator.findings import Finding, Known, attempt_at, condition, read_model_status
from tiltyard_operator.handlers import models_of
from tiltyard_operator.kinds import MODEL, PIPELINE, Object
from tiltyard_operator.queue import Key
from tiltyard_operator.reading import read_trials
from tiltyard_operator.resolving import start_trials
from tiltyard_operator.settings import Settings
from tiltyard_operator.trials import observe_attempts
from tiltyard_operator.verdicts import Verdict
from tiltyard_operator.view import Memory, View
from tiltyard_operator.writing import Writer

NAMED = 100
"""Pipelines that a status names; the count is of all."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is known of a Model."""

    finding: Finding
    refused: Verdict | None = None
    """Why nothing can be tried."""

    entry: ModelEntry | None = None


class ModelReconciler:
    """Finds out what Models are.

    Args:
        cluster: the API server.
        settings: of the operator.
        clock: time of day.

    """

    def __init__(
        self, cluster: Cluster, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._cluster = cluster
        self._settings = settings
        self._clock = clock

    def __call__(self, key: Key) -> float | None:
        """Reconcile one Model; seconds until the next look where nothing changes."""
        model = self._cluster.get(MODEL, key.namespace, key.name)
        if model is None or "deletionTimestamp" in model["metadata"]:
            return None
        now = self._clock()
        judgement = self._judge(model, now)
        before = read_model_status(model)
        after = report(model, before, judgement, self._users(key), now)
        if after != before:
            status = after.model_dump(mode="json", by_alias=True, exclude_none=True)
            self._cluster.write_status(MODEL, model, status)
            for event in events(before, after):
                self._cluster.event(model, event.type, event.reason, event.message)
        if judgement.refused:
            return 10.0
        due = judgement.finding.due
        return None if due is None else max(due - now, 0.1)

    def _judge(self, model: Object, now: float) -> Judgement:
        """Say what is known, and start a trial where nothing is."""
        head = model["metadata"]
        try:
            entry = ModelEntry(name="model", **dict(read_model(model).spec))
        except InvalidManifest as error:
            fault = Verdict(ConditionReason.INVALID, faults(error))
            return Judgement(Finding(verdict=fault, final=True))
        key = resolve_key(entry)
        fact = Known.of((), {head["name"]: model}).facts.get(key)
        if fact:
            return _fitting(head["name"], entry, fact)
        owner = Owner.of(model)
        view = View(self._cluster, Memory())
        attempts = observe_attempts(owner, *read_trials(view, head["namespace"], {key}))
        finding = attempt_at(entry, attempts, now)
        if finding.fact:
            return _fitting(head["name"], entry, finding.fact)
        place = place_of_models(self._settings)
        refused = start_trials(Writer(view, owner), [finding], place, self._settings)
        return Judgement(finding, refused, entry)

    def _users(self, key: Key) -> list[str]:
        """Pipelines that refer to it."""
        return sorted(
            one["metadata"]["name"]
            for one in self._cluster.list(PIPELINE, key.namespace).items
            if key in models_of(one)
        )


def report(
    model: Object, before: ModelStatus, judgement: Judgement, users: list[str], now: float
) -> ModelStatus:
    """Say how a Model is. What it was before is not said of a spec that changed."""
    moment = datetime.fromtimestamp(int(now), UTC)
    generation = model["metadata"].get("generation", 0)
    status = ModelStatus(
        observed_generation=generation,
        used_by=tuple(users[:NAMED]) or None,
        users=len(users),
        conditions=stamped(before.conditions, conditions(judgement), generation, moment),
    )
    fact, entry = judgement.finding.fact, judgement.entry
    if not fact or not entry or judgement.finding.verdict:
        return status
    name = model["metadata"]["name"]
    version = plan_model(entry.model_copy(update={"name": name}), fact.resolved).version
    told = status.model_copy(update={"address": fact.address, "version": version})
    return told.with_resolved(fact.resolved)


def conditions(judgement: Judgement) -> Iterator[Judged]:
    """Judge: what is the matter, is it ready."""
    why = judgement.refused or judgement.finding.verdict
    if why is None:
        said = Verdict(ConditionReason.RESOLVED, "it was found and tried")
        yield Judged(ConditionType.READY, "True", said)
        return
    final = judgement.refused or judgement.finding.final
    yield Judged(ConditionType.STALLED if final else ConditionType.RECONCILING, "True", why)
    yield Judged(ConditionType.READY, "False" if final else "Unknown", why)


def events(before: ModelStatus, after: ModelStatus) -> Iterator[Event]:
    """Say what changed from one status to the next."""
    if after.digest and after.digest != before.digest:
        yield Event(EventReason.RESOLVED, f"found {after.short_digest}, {after.size} bytes")
    old = condition(before.conditions, ConditionType.STALLED)
    new = condition(after.conditions, ConditionType.STALLED)
    if new and (old is None or (old.reason, old.message) != (new.reason, new.message)):
        yield Event(EventReason.STALLED, f"{new.reason}: {new.message}")


def _fitting(name: str, entry: ModelEntry, fact: Fact) -> Judgement:
    """Take a fact where the artifact is what the Model says of it."""
    said = list(signature_faults(entry.model_copy(update={"name": name}), fact.resolved, "spec"))
    if not said:
        return Judgement(Finding(fact), entry=entry)
    fault = Verdict(ConditionReason.SIGNATURE_MISMATCH, faults(InvalidManifest(said)))
    return Judgement(Finding(fact, verdict=fault, final=True), entry=entry)
