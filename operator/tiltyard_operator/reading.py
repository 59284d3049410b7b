"""Reads what a Pipeline is judged by."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tiltyard_api.names import HASH_CHARACTERS
from tiltyard_operator.decide import Spec, to_be_tried
from tiltyard_operator.desired.metadata import (
    INSTANCE,
    MANAGED_BY,
    RESOLVE_LABEL,
    Owner,
    evidence_name,
    query,
    routing_name,
    selector,
)
from tiltyard_operator.handlers import models_of
from tiltyard_operator.kinds import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    MODEL,
    POD,
    REPLICA_SET,
    REVISION,
    Kind,
    Object,
)
from tiltyard_operator.observed import Answer, Observed, Read, observe, read_answer
from tiltyard_operator.ownership import Whose, whose
from tiltyard_operator.pods import Pod
from tiltyard_operator.probe import Prober
from tiltyard_operator.trials import observe_attempts
from tiltyard_operator.view import View

TRIED = frozenset({"canary", "shadow", "stage", "verdict"})
"""Fields of a step, of spec or status, that are there where something is tried."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads objects of one owner and asks its pods.

    Args:
        cluster: as this look sees it.
        prober: asks pods.

    """

    cluster: View
    prober: Prober

    def everything(self, pipeline: Object) -> Observed:
        """Read what there is of a Pipeline."""
        owner = Owner.of(pipeline)
        deployment = self._own(DEPLOYMENT, owner, owner.name)
        engines = query(selector(owner.name))
        pods = self._list(POD, owner, engines) if deployment else []
        sets = self._list(REPLICA_SET, owner, engines) if deployment else []
        mine = query({**MANAGED_BY, INSTANCE: owner.name})
        seen = observe(
            Read(
                pipeline=pipeline,
                models=self._models(pipeline),
                deployment=deployment,
                routing=self._own(CONFIG_MAP, owner, routing_name(owner.name)),
                evidence=self._evidence(pipeline, owner),
                configs=self._list(CONFIG_MAP, owner, f"{mine},app.kubernetes.io/component=plan"),
                replica_sets=sets,
                pods=pods,
                revisions=self._list(REVISION, owner, mine),
            )
        )
        asked = [one for one in seen.pods if one.serves or (one.ending and tried(pipeline))]
        return replace(seen, said=self._answers(owner, asked))

    def trials(self, seen: Observed, spec: Spec) -> Observed:
        """Read what Jobs found of models that nothing else is known of."""
        keys = to_be_tried(seen, spec)
        if not keys:
            return seen
        jobs, pods = read_trials(self.cluster, seen.owner.namespace, keys)
        return replace(seen, trials=observe_attempts(seen.owner, jobs, pods))

    def _own(self, kind: Kind, owner: Owner, name: str) -> Object | None:
        found = self.cluster.get(kind, owner.namespace, name)
        return found if found and whose(found, owner) is Whose.OURS else None

    def _list(self, kind: Kind, owner: Owner, labels: str) -> list[Object]:
        found = self.cluster.list(kind, owner.namespace, labels)
        if kind in (POD, REPLICA_SET):  # the Deployment's, which is ours
            return found
        return [one for one in found if whose(one, owner) is Whose.OURS]

    def _models(self, pipeline: Object) -> dict[str, Object]:
        named = {key.name for key in models_of(pipeline)}
        namespace = pipeline["metadata"]["namespace"]
        found = ((name, self.cluster.get(MODEL, namespace, name)) for name in sorted(named))
        return {name: obj for name, obj in found if obj}

    def _evidence(self, pipeline: Object, owner: Owner) -> Object | None:
        if not tried(pipeline):
            return None
        return self._own(CONFIG_MAP, owner, evidence_name(owner.name))

    def _answers(self, owner: Owner, pods: Iterable[Pod]) -> dict[str, Answer]:
        said = self.prober.ask([one.obj for one in pods])
        return {
            name: read_answer(one.status, owner.name)
            if one.status is not None
            else Answer(silent_since=one.silent_since)
            for name, one in said.items()
        }


def tried(pipeline: Object) -> bool:
    """Whether anything is, or just was, tried: then a pod's last word counts too."""
    spec, status = (pipeline.get(half) or {} for half in ("spec", "status"))
    if spec.get("experiment"):
        return True
    steps = [one for half in (spec, status) for one in half.get("steps") or ()]
    told = [one for one in steps if isinstance(one, dict)]
    return any(one.get("kind") == "shadow" or not TRIED.isdisjoint(one) for one in told)


def read_trials(
    cluster: View, namespace: str, keys: Iterable[str]
) -> tuple[list[Object], list[Object]]:
    """Read resolve Jobs of certain keys, whoever owns them, and their pods."""
    starts = ",".join(sorted({key[:HASH_CHARACTERS] for key in keys}))
    labels = f"{RESOLVE_LABEL} in ({starts})"
    jobs = cluster.list(JOB, namespace, labels)
    return jobs, cluster.list(POD, namespace, labels) if jobs else []
