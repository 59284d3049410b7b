"""Writes to owned objects: only where something differs, and never to what is not ours."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_operator.desired.metadata import Owner
from tiltyard_operator.drift import covers, was_ours
from tiltyard_operator.errors import Conflict, Refused, Unavailable
from tiltyard_operator.kinds import CONFIG_MAP, DEPLOYMENT, Object, kind_of
from tiltyard_operator.metrics import DRIFT_REPAIRED
from tiltyard_operator.ownership import Whose, whose
from tiltyard_operator.verdicts import Verdict
from tiltyard_operator.view import View, place_of

JUDGED = (DEPLOYMENT, CONFIG_MAP)
"""Kinds whose content follows from what was read of them: where that changed, it is to be decided
anew."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An object as it is to be, and as it is."""

    wanted: Object
    live: Object | None

    @property
    def name(self) -> str:
        """As people know it."""
        return f"{self.wanted['kind']} {self.wanted['metadata']['name']}"


@dataclass(slots=True)
class Writer:
    """Makes the objects of one owner be what they are to be.

    Args:
        cluster: as this look sees it.
        owner: whose objects.

    """

    cluster: View
    owner: Owner
    refused: list[str] = field(default_factory=list)
    """What the API server did not take, in its words."""

    delayed: list[str] = field(default_factory=list)
    """What could not be written this time, and why."""

    repaired: list[str] = field(default_factory=list)
    """What others had changed."""

    def pair(self, wanted: Object) -> Pair:
        """Look at an object that is to be."""
        return Pair(wanted, self.cluster.get(*place_of(wanted)))

    def taken(self, pairs: Iterable[Pair]) -> Verdict | None:
        """Say which names are not to be had."""
        others = [
            one.name for one in pairs if one.live and whose(one.live, self.owner) is Whose.FOREIGN
        ]
        if not others:
            return None
        remedy = f"delete or rename it, or rename this {self.owner.kind}"
        said = f"{', '.join(others)} belongs to somebody else and is left alone: {remedy}"
        return Verdict(ConditionReason.NAME_TAKEN, said)

    def leftover(self, pairs: Iterable[Pair]) -> Verdict | None:
        """Say what is still there of an object of the same name that was deleted."""
        old = [
            one.name
            for one in pairs
            if one.live and whose(one.live, self.owner) is Whose.PREDECESSOR
        ]
        if not old:
            return None
        said = f"{', '.join(old)} of a deleted {self.owner.kind} of this name is still there"
        return Verdict(ConditionReason.RETRYING, said)

    def ensure(self, pair: Pair) -> Object | None:
        """Make an object be what it is to be; None where the API server does not take it.

        What goes wrong with one object does not keep the others from what they are to be. It is
        read and tried once more, then left for the next time, and said; the second such object
        ends the reconcile, as then it is not the object's fault.
        """
        try:
            return self._ensure(pair)
        except (Conflict, Unavailable) as error:
            if kind_of(pair.wanted) in JUDGED or getattr(error, "retry_after", None):
                raise
            again = self.pair(pair.wanted)
        if again.live and whose(again.live, self.owner) is not Whose.OURS:
            raise Conflict(f"{pair.name} is somebody else's since it was read")
        try:
            return self._ensure(again)
        except (Conflict, Unavailable) as error:
            self.delayed.append(f"{pair.name}: {error}")
            if len(self.delayed) > 1:
                raise
            return None

    def put(self, wanted: Object) -> None:
        """Write an object without a look at what is there."""
        try:
            self.cluster.apply(wanted)
        except Refused as error:
            self._refuse(wanted, error)

    def note_deleted(self, pairs: Iterable[Pair]) -> None:
        """Note what somebody else deleted."""
        for pair in pairs:
            if pair.live is None:
                self.repair(pair)

    def repair(self, pair: Pair) -> None:
        """Note that somebody else changed or deleted an object."""
        DRIFT_REPAIRED.labels(pair.wanted["kind"]).inc()
        self.repaired.append(pair.name)

    def remove(self, obj: Object | None) -> None:
        """Delete an object, if it is ours."""
        if obj and whose(obj, self.owner) is Whose.OURS and not _ending(obj):
            try:
                self.cluster.delete(obj)
            except Refused as error:
                self._refuse(obj, error)

    def _ensure(self, pair: Pair) -> Object | None:
        live, wanted = pair.live, pair.wanted
        if live and covers(live, wanted):
            return live
        try:
            made = self._write(live, wanted)
        except Refused as error:
            self._refuse(wanted, error)
            return None
        if live and was_ours(live, wanted):
            self.repair(pair)
        return made

    def _refuse(self, obj: Object, error: Refused) -> None:
        self.refused.append(f"{obj['kind']} {obj['metadata']['name']}: {error.message}")

    def _write(self, live: Object | None, wanted: Object) -> Object:
        """Apply an object to the very version that was judged."""
        if live and _fixed(live, wanted):
            self.cluster.delete(live)  # the name has to be free
            live = None
        version = {"resourceVersion": live["metadata"]["resourceVersion"]} if live else {}
        return self.cluster.apply({**wanted, "metadata": {**wanted["metadata"], **version}})


def verdict(refused: list[str]) -> Verdict | None:
    """Say what the API server did not take."""
    if not refused:
        return None
    return Verdict(ConditionReason.APPLY_REFUSED, "; ".join(refused))


def delay(delayed: list[str]) -> Verdict | None:
    """Say what could not be written this time."""
    if not delayed:
        return None
    return Verdict(ConditionReason.RETRYING, f"is tried again: {'; '.join(delayed)}")


def _fixed(live: Object, wanted: Object) -> bool:
    """Whether what differs is something that nobody may change: the content of a plan."""
    return bool(live.get("immutable")) and live.get("data") != wanted.get("data")


def _ending(obj: Object) -> bool:
    return "deletionTimestamp" in obj["metadata"]
