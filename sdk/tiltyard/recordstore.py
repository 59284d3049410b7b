"""Finds the files of records, in a folder or in an object store, and opens them."""

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from tiltyard.failure import Failure
from tiltyard.stores import opened
from tiltyard_api.recordfiles import CLOSED, OPEN, OPEN_SECONDS, STAMP

STORES = ("s3://", "gs://", "az://")

MARGIN = timedelta(seconds=OPEN_SECONDS + 3600)
"""How long before a moment the file may have been begun that tells of it."""


LAG = timedelta(seconds=OPEN_SECONDS)
"""How long rows may have waited when a file was begun with them."""


class Place(Protocol):
    """Where records are."""

    def names(self, folder: str) -> Iterator[str]:
        """Every file below a folder."""

    def open(self, name: str) -> Any:  # noqa: ANN401 - what pyarrow reads
        """Open a file for reading; None where it has gone meanwhile."""


class Folder:
    """A folder of this machine."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self, folder: str) -> Iterator[str]:
        """Every file below a folder."""
        for path in (self._root / folder).rglob("*.*"):
            yield path.relative_to(self._root).as_posix()

    def open(self, name: str) -> Any:  # noqa: ANN401 - what pyarrow reads
        """Open a file; one that was closed meanwhile goes by its new name."""
        path = self._root / name
        for found in (path, path.with_suffix(CLOSED)):
            try:
                return found.open("rb")
            except FileNotFoundError:
                continue
        return None


class Store:
    """A bucket, or a part of one."""

    def __init__(self, uri: str) -> None:
        self._uri = uri.rstrip("/")
        self._obstore, self._store = opened(self._uri)

    def names(self, folder: str) -> Iterator[str]:
        """Every file below a folder.

        Raises:
            Failure: the store does not say.

        """
        try:
            for page in self._obstore.list(self._store, prefix=folder):
                yield from (str(one["path"]) for one in page)
        except Exception as error:  # classes of its own, some of them only in stubs
            raise self._failure(error) from error

    def open(self, name: str) -> Any:  # noqa: ANN401 - what pyarrow reads
        """Fetch a file.

        Raises:
            Failure: the store does not give it.

        """
        try:
            return io.BytesIO(bytes(self._obstore.get(self._store, name).bytes()))
        except FileNotFoundError:
            return None
        except Exception as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> Failure:
        said = str(error).partition("\n")[0][:200]
        return Failure(f"{self._uri} cannot be read: {said}: check the uri and your credentials")


def place_of(place: str | Path) -> Place:
    """Open a folder or a store, by its path or uri."""
    text = str(place)
    if text.startswith(STORES):
        return Store(text)
    return Folder(Path(unquote(urlsplit(text).path)) if text.startswith("file:") else Path(place))


def files_by_stream(names: Iterable[str]) -> dict[str, list[str]]:
    """Files of each stream of a Pipeline."""
    found: dict[str, list[str]] = {}
    for name in names:
        if name.endswith((OPEN, CLOSED)):
            found.setdefault(PurePosixPath(name).parts[1], []).append(name)
    return found


def begun(name: str) -> datetime:
    """When a file was begun, as its name says."""
    stamp = name.rpartition("/")[2].partition("-")[0]
    return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)


def in_time(names: Sequence[str], since: datetime | None, until: datetime | None) -> list[str]:
    """Files that may tell of a time, oldest first; of a file that is there twice the closed one."""
    stems: dict[str, str] = {}
    for name in sorted(names):  # .arrow comes before .parquet
        late = until is not None and begun(name) - LAG > until
        if not late and (since is None or begun(name) + MARGIN >= since):
            stems[name.rpartition(".")[0]] = name
    return sorted(stems.values(), key=lambda name: name.rpartition("/")[2])
