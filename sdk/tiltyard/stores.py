"""Where uploaded models lie: a folder, or a bucket."""

import hashlib
import shutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from tiltyard.failure import Failure

CHUNK = 1 << 20


class Store(Protocol):
    """Keeps the bytes of models, each under a name of its own, for good."""

    def put(self, file: Path, key: str) -> str:
        """Keep a file; the URI by which engines fetch it.

        Raises:
            Failure: it cannot be kept.

        """
        ...

    @property
    def secret(self) -> str | None:
        """Secret of the namespace that engines read the store with."""
        ...


class FolderStore:
    """A folder.

    Args:
        folder: where the files go.
        uri: how engines reach the folder, such as `pvc://models`; without one, by its path.

    """

    secret: str | None = None

    def __init__(self, folder: Path | str, uri: str | None = None) -> None:
        self._folder = Path(folder).absolute()
        self._uri = uri.rstrip("/") if uri else self._folder.as_uri()

    def put(self, file: Path, key: str) -> str:
        """Keep a file; the URI by which engines fetch it.

        Raises:
            Failure: it cannot be kept.

        """
        place = self._folder / key
        fresh = place.with_name(f".{place.name}.new")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, fresh)
            fresh.replace(place)
        except OSError as error:
            raise Failure(f"{file} cannot be kept in {self._folder}: {error.strerror}") from error
        return f"{self._uri}/{key}"


class BucketStore:
    """A bucket of an object store, by way of obstore.

    Args:
        url: bucket and prefix, such as `s3://models/team`.
        secret: Secret of the namespace that engines read it with; this machine uses the
            credentials of its environment.
        settings: what obstore takes beside them, such as `endpoint`.

    """

    def __init__(self, url: str, secret: str | None = None, **settings: str) -> None:
        self._url = url.rstrip("/")
        self._settings = settings
        self.secret = secret

    def put(self, file: Path, key: str) -> str:
        """Keep a file; the URI by which engines fetch it.

        Raises:
            Failure: it cannot be kept.

        """
        obstore, bucket = opened(self._url, self._settings)
        try:
            with file.open("rb") as content:
                obstore.put(bucket, key, content)
        except Exception as error:  # classes of its own, some of them only in stubs
            said = " ".join(str(error).split())[:200]
            raise Failure(f"{file} cannot be written to {self._url}: {said}") from error
        return f"{self._url}/{key}"


def opened(url: str, settings: Mapping[str, str] = MappingProxyType({})) -> tuple[Any, Any]:
    """Open a bucket with the credentials of this machine; gives obstore and the bucket.

    Raises:
        Failure: obstore is not installed, or the URL is none of a bucket.

    """
    try:
        obstore: Any = import_module("obstore")
        stores: Any = import_module("obstore.store")
    except ModuleNotFoundError as error:
        raise Failure(
            f"obstore, which reads and writes {url}, is missing: pip install 'tiltyard[cloud]'"
        ) from error
    options = {"allow_http": True}  # the user's own endpoint, as they or the environment name it
    try:
        return obstore, stores.from_url(url, config=dict(settings), client_options=options)
    except Exception as error:  # classes of its own, some of them only in stubs
        said = " ".join(str(error).split())[:200]
        raise Failure(f"{url} cannot be opened: {said}") from error


def store_at(where: "Store | Path | str") -> Store:
    """Give the store that a path or a URL names."""
    if not isinstance(where, Path | str):
        return where
    if "://" in str(where):
        return BucketStore(str(where))
    return FolderStore(where)


def digest_of(file: Path) -> str:
    """SHA-256 of a file.

    Raises:
        Failure: it cannot be read.

    """
    digest = hashlib.sha256()
    try:
        with file.open("rb") as content:
            while piece := content.read(CHUNK):
                digest.update(piece)
    except OSError as error:
        raise Failure(f"{file}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()
