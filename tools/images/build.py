"""What images there are, and who can build them."""

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class BuildError(Exception):
    """An image cannot be built; the message says what to do."""


@dataclass(frozen=True)
class Image:
    """An image of the project."""

    dockerfile: str
    arguments: Mapping[str, str]


IMAGES: Mapping[str, Image] = {
    "engine": Image("runtime-image/Dockerfile", {"PACKAGES": "engine"}),
    "engine-slim": Image("runtime-image/Dockerfile", {"PACKAGES": "engine-slim"}),
    "operator": Image("operator/Dockerfile", {}),
}


@dataclass(frozen=True)
class Builder:
    """A program that builds images from Dockerfiles."""

    command: tuple[str, ...]


_BUILDERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "docker": (("info",), ("build",)),
    "podman": (("info",), ("build",)),
    "buildah": (("info",), ("build", "--layers")),
}
"""How each is asked whether it works here, and how it builds."""


def find_builder() -> Builder:
    """Give the first program that is there and works.

    Raises:
        BuildError: none does.

    """
    for program, (asking, building) in _BUILDERS.items():
        path = shutil.which(program)
        if path and _succeeds(path, *asking):
            return Builder((path, *building))
    raise BuildError("none of docker, podman and buildah works here: install one, or start it")


def _succeeds(*command: str) -> bool:
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - a builder
    return done.returncode == 0


def build(builder: Builder, image: Image, tag: str, arguments: Mapping[str, str]) -> None:
    """Build an image from the sources as they lie here.

    Raises:
        BuildError: the builder says why on standard error.

    """
    told = {**image.arguments, **arguments}
    words = [word for name, value in told.items() for word in ("--build-arg", f"{name}={value}")]
    command = [*builder.command, *words, "--file", str(ROOT / image.dockerfile), "--tag", tag]
    done = subprocess.run([*command, str(ROOT)], check=False)  # noqa: S603 - a builder found here
    if done.returncode:
        raise BuildError(f"{tag} could not be built; what its builder said stands above")
