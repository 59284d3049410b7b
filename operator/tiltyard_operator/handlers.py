"""What follows from what is seen: which keys are to be looked at, and how soon."""

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from tiltyard_operator.face import Health
from tiltyard_operator.kinds import DEPLOYMENT, JOB, MODEL, PIPELINE, POD, Kind, Object
from tiltyard_operator.owners import owners
from tiltyard_operator.queue import Key, Lane, Queue
from tiltyard_operator.view import Memory

SETTLES = 0.1
"""Seconds for owned objects to settle: one change of a Pipeline touches a dozen of them, and each
of their events would have the Pipeline read anew."""

AFTER_LISTING = 5.0
"""Seconds until what a listing brought is looked at again for its owner's sake: at a start every
owner is listed too, and has been looked at by then."""

JUDGED_BY_STATUS = (DEPLOYMENT, JOB, POD)
"""Kinds whose status says how far a Pipeline is. That of others changes for nobody here: an
autoscaler's does every few seconds."""

Handler = Callable[[str | None, Object], None]
"""Takes the type of an event (None: it is of a listing) and the object."""


class Handlers:
    """Turns events into keys. Called by one thread; never asks or writes anything.

    Args:
        queue: takes the keys.
        health: is told when the Lease's own writes come back.
        memory: takes what owned objects are.

    """

    def __init__(self, queue: Queue, health: Health, memory: Memory) -> None:
        self._queue = queue
        self._health = health
        self._memory = memory
        self._last: dict[str, int] = {}  # uid -> what was seen of it
        self._uses: dict[Key, frozenset[Key]] = {}  # Pipeline -> Models it names

    def forget(self) -> None:
        """Take every object for changed when it is seen next."""
        self._last = {}
        self._memory.clear()

    def pipeline(self, event: str | None, obj: Object) -> None:
        """A Pipeline: look at it, and at the Models that it names or named."""
        if not self._changed(event, obj, PIPELINE):
            return
        key = _key(PIPELINE, obj)
        lane = Lane.PATIENT if event is None else Lane.PROMPT
        self._queue.add(key, lane)
        named = frozenset() if event == "DELETED" else frozenset(models_of(obj))
        before = self._uses.pop(key, frozenset())
        if named:
            self._uses[key] = named
        for model in named ^ before:
            self._queue.add(model, lane)

    def model(self, event: str | None, obj: Object) -> None:
        """A Model: look at it. Its status is what Pipelines wait for, so that counts too."""
        if not self._changed(event, obj, MODEL):
            return
        key = _key(MODEL, obj)
        self._queue.add(key, Lane.PATIENT if event is None else Lane.PROMPT)
        for pipeline, models in self._uses.items():
            if key in models:
                self._queue.add_in(pipeline, SETTLES)

    def owned(self, kind: Kind) -> Handler:
        """An object that a Pipeline or Model owns: look at the owner."""

        def handle(event: str | None, obj: Object) -> None:
            self._memory.watched(event, obj)
            if self._changed(event, obj, kind):
                for key in owners(obj):
                    self._queue.add_in(key, AFTER_LISTING if event is None else SETTLES)

        return handle

    def lease(self, event: str | None, obj: Object) -> None:
        """Our own Lease: the watches are alive."""
        del event, obj
        self._health.seen = time.monotonic()

    def _changed(self, event: str | None, obj: Object, kind: Kind) -> bool:
        uid = obj["metadata"]["uid"]
        if event == "DELETED":
            self._last.pop(uid, None)
            return True
        seen = essence(obj, with_status=kind in (*JUDGED_BY_STATUS, MODEL))
        changed = self._last.get(uid) != seen
        self._last[uid] = seen
        return changed


def essence(obj: Object, *, with_status: bool) -> int:
    """Hash of what an object is judged by: a write that changes nothing of it need not be seen."""
    head = {**obj["metadata"]}
    for name in ("managedFields", "resourceVersion", "generation"):
        head.pop(name, None)
    kept: dict[str, Any] = {**obj, "metadata": head}
    if not with_status:
        kept.pop("status", None)
    return hash(json.dumps(kept, sort_keys=True))


def models_of(pipeline: Object) -> Iterable[Key]:
    """Models that a Pipeline refers to. The spec may be anything: it is judged elsewhere."""
    spec = pipeline.get("spec")
    entries = spec.get("models") if isinstance(spec, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        reference = entry.get("modelRef") if isinstance(entry, dict) else None
        name = reference.get("name") if isinstance(reference, dict) else None
        if isinstance(name, str):
            yield Key(MODEL, pipeline["metadata"]["namespace"], name)


def _key(kind: Kind, obj: Object) -> Key:
    head = obj["metadata"]
    return Key(kind, head["namespace"], head["name"])
