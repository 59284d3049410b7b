"""Whether a live object still is what we applied. Defaults and others' fields do not count."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation

from tiltyard_api.quantities import BYTES
from tiltyard_operator.desired.metadata import APPLIED
from tiltyard_operator.kinds import Object

QUANTITIES = frozenset({"cpu", "memory", "sizeLimit"})
"""Fields that the API server may spell in another way: `1000m` and `1` are the same."""

KEYS: Mapping[str, str] = {
    "containers": "name",
    "env": "name",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ownerReferences": "uid",
    "ports": "name",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Lists to which others may add entries of their own, and by what the entries are told apart."""

SUFFIXES: Mapping[str, Decimal] = {"m": Decimal("0.001")} | {
    suffix: Decimal(factor) for suffix, factor in BYTES.items()
}
"""Factors of quantities; `m` is of cpus alone."""


def was_ours(live: Object, wanted: Object) -> bool:
    """Whether the last apply was of this very object: what differs was then changed by others."""
    return _applied(live) == _applied(wanted)


def covers(live: object, wanted: object, field: str = "") -> bool:
    """Whether everything wanted is in what is live, so that an apply would change nothing.

    That nothing stayed of what we wanted before is seen by the hash that both carry.
    """
    match wanted:
        case Mapping():
            there = live if isinstance(live, Mapping) else {}
            return all(covers(there.get(key), value, key) for key, value in wanted.items())
        case str():
            return amount(live) == amount(wanted) if field in QUANTITIES else live == wanted
        case Sequence():
            return isinstance(live, Sequence) and _covers_list(live, wanted, field)
        case _:
            return live == wanted and isinstance(live, bool) == isinstance(wanted, bool)


def amount(quantity: object) -> Decimal | str:
    """Value of a quantity, however it is spelled; what is none stays as it is."""
    text = str(quantity)
    number = text.rstrip("".join({letter for suffix in SUFFIXES for letter in suffix}))
    try:
        return Decimal(number) * SUFFIXES[text[len(number) :]]
    except (InvalidOperation, KeyError):
        return text


def _covers_list(live: Sequence[object], wanted: Sequence[object], field: str) -> bool:
    key = KEYS.get(field, "")
    if not all(isinstance(one, Mapping) and key in one for one in wanted):
        return len(live) == len(wanted) and all(map(covers, live, wanted))
    there = {one.get(key): one for one in live if isinstance(one, Mapping)}
    return all(covers(there.get(one[key]), one) for one in wanted if isinstance(one, Mapping))


def _applied(obj: Object) -> object:
    return (obj["metadata"].get("annotations") or {}).get(APPLIED)
