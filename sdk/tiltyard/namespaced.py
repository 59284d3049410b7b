"""A workspace that is a namespace of a cluster: the objects that kubectl shows."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tiltyard.canary import Word, addressed, annotation
from tiltyard.cluster import MANAGER, MODELS, PIPELINES, Cluster, read_status
from tiltyard.failure import Failure
from tiltyard.ownership import taken_over
from tiltyard.places import Document, Revision, Tell, kept_at, not_deployed
from tiltyard.transport import Transport
from tiltyard_api.names import CANARY_ANNOTATION
from tiltyard_api.v1alpha1.stage import Stage
from tiltyard_api.v1alpha1.status import Condition
from tiltyard_api.v1alpha1.verdict import Report

LOOKS_EVERY = 0.5
"""Seconds between two looks at what is waited for."""

MODEL_SECONDS = 660.0
"""How long a model may take to be found and tried: the operator gives it ten minutes."""

NOBODY_SECONDS = 20.0
"""After this nobody seems to look at new specs."""


class NamespacePlace:
    """A namespace.

    Args:
        cluster: the cluster, at that namespace.
        url: where engines are reached, `http://HOST:PORT`; None: through the API server.
        tell: says what is waited for.

    """

    def __init__(self, cluster: Cluster, url: str | None, tell: Tell) -> None:
        self.namespace = cluster.namespace
        self._cluster = cluster
        self._url = url
        self._tell = tell

    def models(self) -> list[str]:
        """Give the names of all Models."""
        return [one["metadata"]["name"] for one in self._cluster.listed(MODELS)]

    def model_versions(self, name: str) -> list[Document]:
        """Give the Model of a name: a cluster has its newest version only."""
        found = self._cluster.find(MODELS, name)
        return [found] if found else []

    def put_model(self, document: Document) -> Document:
        """Apply a Model and wait until it was tried.

        Raises:
            Failure: it cannot be used, or nobody says so in time.

        """
        name = document["metadata"]["name"]
        applied = self._applied(MODELS, document)

        def look() -> Document:
            return self._cluster.find(MODELS, name) or applied

        return self._settled(f"model {name}", applied, look, MODEL_SECONDS)

    def pipelines(self) -> list[Document]:
        """Give all Pipelines."""
        return self._cluster.listed(PIPELINES)

    def pipeline(self, name: str) -> Document | None:
        """Give a Pipeline; None where there is none."""
        return self._cluster.find(PIPELINES, name)

    def deploy(self, document: Document, seconds: float) -> None:
        """Apply a Pipeline and wait until all its pods serve it.

        Raises:
            Failure: it cannot be served, or not in time; what ran keeps running.

        """
        name = document["metadata"]["name"]
        applied = self._applied(PIPELINES, document)
        if seconds:
            self._settled(name, applied, lambda: self._cluster.pipeline(name), seconds)
            self._tell(f"{name}: ready")

    def undeploy(self, name: str, seconds: float) -> None:
        """Suspend a Pipeline and wait until its pods are gone.

        Raises:
            Failure: they are not in time.

        """
        if self._cluster.find(PIPELINES, name) is None:
            return
        self._cluster.patch(PIPELINES, name, {"spec": {"suspend": True}})
        deadline = time.monotonic() + seconds
        while not _gone(found := self._cluster.pipeline(name)):
            if time.monotonic() > deadline:
                left = read_status(found).replicas
                raise Failure(f"{name}: {left} pods are still there after {seconds:g} s")
            time.sleep(LOOKS_EVERY)
        self._tell(f"{name}: undeployed")

    def order(self, name: str, word: Word, step: str | None) -> Stage:
        """Annotate a Pipeline with a word for its canary; gives the stage that it names.

        Raises:
            Failure: there is no such canary, or nothing can be said to it.

        """
        found = self._cluster.pipeline(name)
        stage = addressed(word, name, step, read_status(found).steps or ())
        self._cluster.annotate(found, CANARY_ANNOTATION, annotation(word, stage))
        return stage

    def status(self, name: str) -> Document:
        """Give its status."""
        return dict(self._cluster.pipeline(name).get("status") or {})

    def revisions(self, name: str) -> Sequence[Revision]:
        """Give its versions, newest last."""
        found = self._cluster.revisions(self._cluster.pipeline(name))
        return [_revision(one) for one in found if (one.get("data") or {}).get("plan")]

    def engine(self, name: str, connections: int) -> Transport:
        """Give a way to its data port.

        Raises:
            Failure: it is not deployed.

        """
        found = self._cluster.find(PIPELINES, name)
        if found is None or found["spec"].get("suspend"):
            raise not_deployed(name)
        if self._url:
            return Transport(self._url, connections)
        return self._cluster.service(name, "http")

    def records(self, name: str) -> Path | str:
        """Give the uri of the store that its manifest names.

        Raises:
            Failure: it names none.

        """
        uri = kept_at(self._cluster.pipeline(name)["spec"])
        if uri is None or uri.startswith("stdout"):
            raise Failure(
                f"{name} keeps no records that can be read back: add spec.records with the uri of"
                " a store as its sink"
            )
        return uri

    def report(self, name: str) -> Report:
        """Say what its experiment and its shadows have shown, as the operator tells.

        Raises:
            Failure: it has neither.

        """
        from tiltyard.report import of_pipeline  # noqa: PLC0415 - for those who ask

        return of_pipeline(self._cluster, name)

    def close(self) -> None:
        """Nothing of a cluster ends with a client."""

    def _applied(self, plural: str, document: Document) -> Document:
        """Apply a manifest so that its spec is all there is of one."""
        name = document["metadata"]["name"]
        before = self._cluster.find(plural, name)
        entries = before["metadata"].get("managedFields") or () if before else ()
        ours = taken_over(entries, MANAGER)
        if before and ours:
            version = before["metadata"]["resourceVersion"]
            changed = {"metadata": {"managedFields": ours, "resourceVersion": version}}
            self._cluster.patch(plural, name, changed)
        return self._cluster.apply(plural, document)

    def _settled(
        self, what: str, applied: Document, look: Callable[[], Document], seconds: float
    ) -> Document:
        """Wait until an object of this generation is ready, telling what is waited for."""
        wanted = applied["metadata"]["generation"]
        began, said = time.monotonic(), ""
        while True:
            found = look()
            ready, stalled = (_condition(found, kind, wanted) for kind in ("Ready", "Stalled"))
            if stalled and stalled.status == "True":
                raise Failure(f"{what} stalls, {stalled.reason}: {stalled.message}")
            if ready and ready.status == "True":
                return found
            waited = time.monotonic() - began
            news = _waited_for(ready, waited)
            if waited > seconds:
                raise Failure(f"{what} is not ready after {seconds:g} s, it goes on: {news}")
            if news != said:
                self._tell(f"{what}: {news}")
                said = news
            time.sleep(LOOKS_EVERY)


def _waited_for(ready: Condition | None, waited: float) -> str:
    if ready:
        return f"{ready.reason}: {ready.message}"
    if waited > NOBODY_SECONDS:
        return "no operator has looked at it yet: is one running for this namespace?"
    return "waiting for the operator"


def _condition(found: Document, kind: str, generation: int) -> Condition | None:
    """Find a condition that speaks of this generation."""
    for one in (found.get("status") or {}).get("conditions") or ():
        if one["type"] == kind and one.get("observedGeneration", -1) >= generation:
            return Condition.model_validate_json(json.dumps(one), by_alias=True)
    return None


def _gone(found: Document) -> bool:
    # Ready may have more to tell, such as that a candidate was rolled back.
    available = _condition(found, "Available", found["metadata"]["generation"])
    suspended = available is not None and available.reason == "Suspended"
    return suspended and not read_status(found).replicas


def _revision(obj: Document) -> Revision:
    data, head = obj["data"], obj["metadata"]
    facts = data.get("resolved") or {}
    return Revision(
        number=int(obj["revision"]),
        name=head["name"],
        created=head.get("creationTimestamp") or "",
        spec=data["spec"],
        digests={name: one["resolved"]["digest"] for name, one in facts.items()},
        plan=data["plan"],
        addresses={name: one["address"] for name, one in facts.items() if one.get("address")},
        shared={name: one["spec"] for name, one in (data.get("models") or {}).items()},
    )
