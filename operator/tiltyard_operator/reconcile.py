"""The story of one Pipeline: observe, decide, build, apply what differs, prune, report.

It remembers nothing that it needs from one time to the next, and each write leaves something that
the next reconcile can go on from: so it may die before and after any of them.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

from tiltyard_api.names import HASH_CHARACTERS
from tiltyard_api.v1alpha1.conditions import ConditionReason, EventReason
from tiltyard_api.v1alpha1.status import PipelineStatus
from tiltyard_operator import feedback, shadows
from tiltyard_operator.canaries import to_be_kept, to_be_stored
from tiltyard_operator.cluster import Cluster
from tiltyard_operator.decide import Decision, Spec, Target, accept, cause_of, decide
from tiltyard_operator.desired import Wanted, build, superfluous
from tiltyard_operator.desired.config import evidence_config
from tiltyard_operator.desired.metadata import evidence_name, plan_name, sealed
from tiltyard_operator.desired.pod import override_of
from tiltyard_operator.desired.resolving import Place
from tiltyard_operator.desired.workload import CAUSE, Cause, as_it_was
from tiltyard_operator.errors import ClusterError, Conflict, Refused, Unavailable
from tiltyard_operator.events import Event, events, newly_synced
from tiltyard_operator.gauges import Gauges
from tiltyard_operator.kinds import CONFIG_MAP, PIPELINE, POD_MONITOR, Object
from tiltyard_operator.ledgers import Ledgers
from tiltyard_operator.log import log
from tiltyard_operator.metrics import ROLLBACKS, ROUTING_SYNC_SECONDS
from tiltyard_operator.observed import Observed, observe_workload, previous_status
from tiltyard_operator.probe import Prober
from tiltyard_operator.queue import Key
from tiltyard_operator.reading import Reader
from tiltyard_operator.resolving import start_trials
from tiltyard_operator.settings import Settings
from tiltyard_operator.slots import MOST, Slots
from tiltyard_operator.status import Made, next_look, plain, report, setback, worth_writing
from tiltyard_operator.verdicts import Verdict
from tiltyard_operator.versions import keep_version, prune_versions
from tiltyard_operator.view import Memory, View
from tiltyard_operator.writing import Pair, Writer, delay, verdict

QUEUED = Verdict(
    ConditionReason.QUEUED,
    f"waits: {MOST} Pipelines replace their pods at once, as nobody changed their specs",
)


FAILURES = 4
"""Reconciles that fail in a row, after which people are told why: it is no passing thing then."""


class PipelineReconciler:
    """Makes the cluster be what Pipelines say.

    Args:
        cluster: the API server.
        prober: asks pods.
        memory: what was seen of owned objects.
        settings: of the operator.
        clock: time of day.

    """

    def __init__(
        self,
        cluster: Cluster,
        prober: Prober,
        memory: Memory,
        settings: Settings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cluster = cluster
        self._prober = prober
        self._memory = memory
        self._gauges = Gauges()
        self._ledgers = Ledgers()
        self._failures: Counter[Key] = Counter()
        self._slots = Slots(cluster, settings.namespaces)
        self._settings = settings
        self._clock = clock

    def __call__(self, key: Key) -> float | None:
        """Reconcile one Pipeline; seconds until the next look where nothing changes."""
        pipeline = self._cluster.get(PIPELINE, key.namespace, key.name)
        if pipeline is None or "deletionTimestamp" in pipeline["metadata"]:
            self._gauges.forget(key)
            self._ledgers.forget(key)
            self._failures.pop(key, None)
            return None  # Kubernetes deletes what it owned
        try:
            again_in = self._reconcile(key, pipeline)
        except Refused as error:  # where the operator lacks a right, people must hear of it
            self._confess(pipeline, Verdict(ConditionReason.APPLY_REFUSED, error.message))
            raise
        except (Conflict, Unavailable) as error:
            self._failures[key] += 1
            if self._failures[key] >= FAILURES:
                with suppress(ClusterError):  # then this cannot be said either
                    said = f"is tried again: {error}"
                    self._confess(pipeline, Verdict(ConditionReason.RETRYING, said))
            raise
        self._failures.pop(key, None)
        return again_in

    def _reconcile(self, key: Key, pipeline: Object) -> float | None:
        view = View(self._cluster, self._memory)
        reader = Reader(view, self._prober)
        seen = reader.everything(pipeline)
        spec = accept(seen)
        seen = reader.trials(self._ledgers.recall(key, seen), spec)
        decision = decide(seen, spec, self._clock())
        seen = self._keep_stages(seen, decision)
        writer = Writer(view, seen.owner)
        untried = self._try_models(writer, spec, decision)
        target = decision.target
        made = self._make(writer, seen, decision, target) if target else Made(seen.workload)
        made = replace(made, refused=made.refused or untried)
        heard, spoke = decision.collected.heard, decision.shadowed.heard
        self._ledgers.note(key, decision.canaries.ledgers, seen.said, heard, spoke)
        status, again_in = self._report(seen, decision, made)
        self._gauges.note(key, decision, status)
        return again_in

    def _keep_stages(self, seen: Observed, decision: Decision) -> Observed:
        """Write down where canaries stand before engines hear of it.

        Whoever dies in between is followed by one that goes on from there.
        """
        kept = to_be_kept(seen.previous, decision.canaries)
        if kept is None:
            return seen
        document = self._cluster.write_status(PIPELINE, seen.document, plain(kept))
        self._tell(seen, kept)
        before = [one.latched for one in seen.previous.steps or ()]
        for one in kept.steps or ():
            if one.latched and one.latched not in before:
                ROLLBACKS.labels(one.latched.by).inc()
        return replace(seen, document=document, previous=kept)

    def _try_models(self, writer: Writer, spec: Spec, decision: Decision) -> Verdict | None:
        """Start the trials that are due, with what the Pipeline's own pods may use."""
        if spec.pipeline is None:
            return None
        size = spec.pipeline.spec.deployment
        place = Place(size.cpus, size.memory, override_of(size))
        return start_trials(writer, decision.findings.values(), place, self._settings)

    def _make(self, writer: Writer, seen: Observed, decision: Decision, target: Target) -> Made:
        """Write what differs, and delete what is there no more."""
        objects = self._objects(seen, decision, target)
        pairs = [writer.pair(one) for one in objects]
        counts = self._counts(writer, seen, decision)
        taken, leftover = writer.taken([*pairs, *counts]), writer.leftover([*pairs, *counts])
        if taken or leftover:
            return Made(seen.workload, refused=taken, held=leftover)
        keep_version(writer, seen, target)
        if _made_before(seen, target):
            writer.note_deleted(pairs)
        for pair in [*pairs[:-1], *counts]:
            writer.ensure(pair)
        deployment, held = self._roll(writer, seen, pairs[-1])
        if not writer.refused and not writer.delayed and not held:
            self._prune(writer, seen, decision, objects)
        return Made(
            observe_workload(deployment) or seen.workload,
            routed={one.hash for one in seen.tables} != {one.hash for one in decision.tables},
            refused=verdict(writer.refused),
            held=held or delay(writer.delayed),
            repaired=tuple(writer.repaired),
        )

    def _counts(self, writer: Writer, seen: Observed, decision: Decision) -> list[Pair]:
        """Give the object with what was counted, where it is to be written."""
        now, fitted = self._clock(), decision.collected.fitted
        if not (
            to_be_stored(seen, decision.canaries, now)
            or feedback.to_be_stored(seen, decision.collected, now)
            or shadows.to_be_stored(seen, decision.shadowed, now)
        ):
            return []
        if fitted and fitted.shortage:
            log(
                "the evidence is full", evidence=evidence_name(seen.owner.name), why=fitted.shortage
            )
        experiment, shadowed = fitted.ledger if fitted else None, decision.shadowed.ledger
        ledgers = decision.canaries.ledgers
        return [writer.pair(sealed(evidence_config(seen.owner, ledgers, experiment, shadowed)))]

    def _objects(self, seen: Observed, decision: Decision, target: Target) -> list[Object]:
        """Build what is to be, with the reason for which pods would be replaced."""
        before = seen.workload.annotations.get(CAUSE, "") if seen.workload else ""
        wanted = Wanted(
            owner=seen.owner,
            pipeline=target.pipeline,
            bundle=target.bundle,
            tables=decision.tables,
            replicas=decision.replicas,
            cause=Cause(before) if before in list(Cause) else Cause.SPEC,
            monitored=self._settings.pod_monitor and self._cluster.serves(POD_MONITOR),
        )
        objects = build(wanted, self._settings)
        cause = cause_of(objects[-1], seen.workload)
        if cause in (None, wanted.cause):
            return objects
        return build(replace(wanted, cause=cause), self._settings)

    def _roll(
        self, writer: Writer, seen: Observed, pair: Pair
    ) -> tuple[Object | None, Verdict | None]:
        """Write the Deployment; where that replaces pods for a shared cause, in its turn."""
        if pair.live is None or cause_of(pair.wanted, seen.workload) is not Cause.SHARED:
            return writer.ensure(pair), None
        with self._slots.one(seen.owner) as free:
            if free:
                return writer.ensure(pair), None
        return writer.ensure(replace(pair, wanted=as_it_was(pair.wanted, pair.live))), QUEUED

    def _prune(
        self, writer: Writer, seen: Observed, decision: Decision, objects: list[Object]
    ) -> None:
        """Delete what is ours and has no use any more."""
        if not seen.versions:
            return  # nothing was ever made
        namespace, name = seen.owner.namespace, seen.owner.name
        for kind in superfluous(objects):
            if kind is not POD_MONITOR or self._cluster.serves(kind):
                writer.remove(writer.cluster.get(kind, namespace, name))
        counted = (
            decision.canaries.outcomes or decision.collected.ledger or decision.shadowed.ledger
        )
        if seen.kept_at and not counted:
            writer.remove(writer.cluster.get(CONFIG_MAP, namespace, evidence_name(name)))
        used = {one.bundle.hash for one in (decision.wish, decision.target) if one}
        for bundle in seen.bundles.values():
            start = bundle.hash[:HASH_CHARACTERS]
            if start not in seen.live and bundle.hash not in used:
                old = writer.cluster.get(CONFIG_MAP, namespace, plan_name(name, bundle.hash))
                writer.remove(old)
        prune_versions(writer, seen)

    def _report(
        self, seen: Observed, decision: Decision, made: Made
    ) -> tuple[PipelineStatus, float | None]:
        """Write the status if it says anything new, then tell what changed."""
        now = self._clock()
        status = report(seen, decision, made, now)
        if worth_writing(seen.previous, status, now):
            self._cluster.write_status(PIPELINE, seen.document, plain(status))
            self._tell(seen, status)
            if newly_synced(seen.previous, status) and seen.routed_at:
                ROUTING_SYNC_SECONDS.observe(max(0.0, now - seen.routed_at))
        if made.repaired:
            told = Event(EventReason.DRIFT_REPAIRED, f"put back: {', '.join(made.repaired)}")
            self._cluster.event(seen.document, told.type, told.reason, told.message)
        return status, next_look(seen, decision, made, now)

    def _tell(self, seen: Observed, status: PipelineStatus) -> None:
        """Tell what changed as events."""
        for event in events(seen.previous, status):
            self._cluster.event(seen.document, event.type, event.reason, event.message)

    def _confess(self, pipeline: Object, why: Verdict) -> None:
        """Say that nothing can be said of a Pipeline, and why."""
        before = previous_status(pipeline)
        generation = pipeline["metadata"].get("generation", 0)
        status = setback(before, generation, why, self._clock())
        if worth_writing(before, status, self._clock()):
            self._cluster.write_status(PIPELINE, pipeline, plain(status))


def _made_before(seen: Observed, target: Target) -> bool:
    """Whether everything of this generation and plan was written already."""
    version = seen.previous.version
    same = version is not None and version.hash == target.bundle.plan_hash
    return same and seen.previous.observed_generation == seen.generation
