"""Who owns which fields of an object, as server-side apply keeps it.

An entry of a list that somebody else applied stays when we apply a list without it. Whoever deploys
by the SDK means the whole spec: so what others have said of it is first taken over.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Entry = dict[str, Any]


def taken_over(entries: Sequence[Entry], manager: str) -> list[Entry] | None:
    """Give the managed fields in which we own all of the spec that others applied.

    Args:
        entries: `metadata.managedFields`.
        manager: who we are.

    Returns:
        None where nobody else has a part of the spec.

    """
    others = [one for one in entries if _claims_spec(one) and not _is(one, manager)]
    if not others:
        return None
    ours = [one for one in entries if _is(one, manager)]
    fields: Mapping[str, Any] = {}
    for one in (*ours, *others):
        fields = _union(fields, {"f:spec": one["fieldsV1"].get("f:spec", {})})
    kept = [one for one in (_without_spec(one) for one in entries if one not in ours) if one]
    mine = {
        "manager": manager,
        "operation": "Apply",
        "apiVersion": others[0]["apiVersion"],
        "time": others[0].get("time"),
        "fieldsType": "FieldsV1",
        "fieldsV1": dict(fields),
    }
    return [*kept, mine]


def _claims_spec(entry: Entry) -> bool:
    return "f:spec" in (entry.get("fieldsV1") or {}) and not entry.get("subresource")


def _is(entry: Entry, manager: str) -> bool:
    return entry.get("manager") == manager and entry.get("operation") == "Apply"


def _without_spec(entry: Entry) -> Entry | None:
    if not _claims_spec(entry):
        return entry
    rest = {key: value for key, value in entry["fieldsV1"].items() if key != "f:spec"}
    return entry | {"fieldsV1": rest} if rest else None


def _union(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of both: sets of fields are trees whose leaves are empty."""
    return {key: _union(one.get(key, {}), other.get(key, {})) for key in (*one, *other)}
