"""Versions: what a Pipeline said, and the bytes that its models were, each time they changed."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.resolved import ResolvedModel
from tiltyard_api.v1alpha1.model import Model
from tiltyard_operator.desired.metadata import Owner, fingerprint, head, revision_name
from tiltyard_operator.kinds import REVISION, Object

LIMIT = 10
"""Versions that are kept."""


class Fact(Contract):
    """What a trial found of a model, and the key of what it tried."""

    key: str
    resolved: ResolvedModel
    address: str | None = None
    """Immutable address of the bytes, where the store has one."""


class Record(Contract):
    """Content of a ControllerRevision."""

    spec: dict[str, object]
    """The spec as the user wrote it."""

    resolved: dict[str, Fact]
    """Facts about each model, by its name in the spec."""

    models: dict[str, Model] = Field(default_factory=dict)
    """Models that the spec refers to, as they were: they may change, and go."""

    plan: str = ""
    """Hash of the plan with its sources; empty before it is compiled."""


@dataclass(frozen=True, slots=True)
class Version:
    """A ControllerRevision."""

    name: str
    number: int
    record: Record
    obj: Object


def revision(owner: Owner, record: Record, number: int, fixed: Mapping[str, object]) -> Object:
    """Give the ControllerRevision of a version.

    Args:
        owner: the Pipeline.
        record: what to keep.
        number: place among the Pipeline's versions.
        fixed: the part of it that makes a version; the rest may differ within one.

    """
    obj = head(REVISION, owner, revision_name(owner.name, fingerprint(fixed)), "history")
    return obj | {"data": record.model_dump(mode="json", by_alias=True), "revision": number}


def read_version(obj: Object) -> Version | None:
    """Read a version back; None where it is not one of ours."""
    try:
        record = Record.model_validate(obj["data"])
        return Version(obj["metadata"]["name"], int(obj["revision"]), record, obj)
    except (KeyError, TypeError, ValueError):
        return None
