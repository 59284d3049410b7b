"""Files that outlive what is served: how the ramps and the experiment of a Pipeline stand."""

import hashlib
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from tiltyard.manifests import Manifest
from tiltyard.notices import notice
from tiltyard_api.base import Contract, canonical

Content = TypeVar("Content", bound=Contract)


def file_of(folder: Path, manifest: Manifest, *within: str) -> Path:
    """Find a file of a Pipeline: manifests of one name in two folders are two Pipelines."""
    place = "\0".join([manifest.uid, str(manifest.folder), *within])
    return folder / f"{hashlib.sha256(place.encode()).hexdigest()[:32]}.json"


def read(file: Path, kind: type[Content], what: str) -> Content | None:
    """Read a file; None where there is none, or a damaged one, which is told.

    Args:
        file: where it is.
        kind: what it holds.
        what: what begins anew without it, in words for people.

    """
    try:
        return kind.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        first = str(error).splitlines()[0]
        notice(f"{file} cannot be read ({first}): {what} begins anew")
        return None


def write(file: Path, content: Contract) -> None:
    """Write a file, and its folder where there is none."""
    file.parent.mkdir(parents=True, exist_ok=True)
    replace(file, canonical(content))


def replace(file: Path, content: bytes) -> Path:
    """Write a file so that a reader sees the old one or the new one."""
    fresh = file.with_suffix(".new")
    fresh.write_bytes(content)
    return fresh.replace(file)
