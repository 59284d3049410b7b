"""Looks into a document as it was written: what is missing or of another type is passed over."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tiltyard_api.faults import Fault

Data = Mapping[str, Any]


def present(parent: Data, key: str) -> bool:
    """Whether a field says something; an empty one (null) does not."""
    return parent.get(key) is not None


def mapping(parent: Data, key: str) -> Data:
    """Give the fields of a field."""
    value = parent.get(key)
    return value if isinstance(value, Mapping) else {}


def entries(parent: Data, key: str) -> Iterator[tuple[int, Data]]:
    """Entries of a list that have fields, with their positions."""
    value = parent.get(key)
    found: Iterable[object] = value if isinstance(value, list) else ()
    for index, entry in enumerate(found):
        if isinstance(entry, Mapping):
            yield index, entry


def texts(parent: Data, key: str) -> Iterator[str]:
    """Give the text of a field, if it has one."""
    value = parent.get(key)
    if isinstance(value, str):
        yield value


def repeated(parent: Data, key: str, by: str, path: str) -> Iterator[Fault]:
    """Entries of a list that carry a name which an earlier entry has."""
    seen: Counter[str] = Counter()
    for index, entry in entries(parent, key):
        for name in texts(entry, by):
            seen[name] += 1
            if seen[name] == 2:
                where = f"{path}.{key}[{index}].{by}"
                yield Fault(where, f"{name!r} stands here twice: rename or remove one")
