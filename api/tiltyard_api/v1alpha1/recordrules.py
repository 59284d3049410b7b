"""What a schema cannot say of records."""

from collections.abc import Iterator

from tiltyard_api.faults import Fault
from tiltyard_api.v1alpha1.records import SECRET_UNUSED
from tiltyard_api.v1alpha1.written import Data, mapping, present


def of_records(records: Data, path: str) -> Iterator[Fault]:
    """Every rule that records break."""
    sink = mapping(records, "sink")
    uri = sink.get("uri")
    local = isinstance(uri, str) and uri.startswith(("stdout:", "file:"))
    if local and present(sink, "secretName"):
        yield Fault(f"{path}.sink.secretName", SECRET_UNUSED)
    excluded, hashed = (_names(records, field) for field in ("exclude", "hash"))
    for index, column in enumerate(hashed):
        if column in excluded:
            message = f"{column!r} is left out already: name it in one of exclude and hash"
            yield Fault(f"{path}.hash[{index}]", message)


def _names(records: Data, field: str) -> list[object]:
    value = records.get(field)
    return value if isinstance(value, list) else []
