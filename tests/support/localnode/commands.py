"""What a container runs: its command, arguments and environment, made fit for this machine. Pure.

A process here sees the whole machine, so a path below a mount becomes the path of the folder that
stands in for the volume, wherever it is said in a command or an environment variable.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiltyard_api.artifacts import CLAIMS, SECRETS
from tiltyard_engine.settings import SERVICE_ACCOUNT

Object = dict[str, Any]

PROGRAMS = {"python": sys.executable, "python3": sys.executable}
"""Programs of images, and what runs here instead."""

_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_.-][\w.-]*)\))")


class ConfigError(Exception):
    """A container cannot be started as its pod says; the message says why, as a kubelet would."""


@dataclass(frozen=True)
class Place:
    """Where a container runs."""

    address: str
    """Address of its pod."""

    base: Mapping[str, str]
    """Environment that every container has."""

    mounts: Mapping[str, str]
    """Folders and files by the path where the container expects them."""

    sources: Mapping[tuple[str, str], Mapping[str, str]]
    """Data of ConfigMaps and Secrets by kind and name."""


def command_of(container: Object, environment: Mapping[str, str], place: Place) -> list[str]:
    """Give the command line of a container."""
    said = [*container.get("command", ()), *container.get("args", ())]
    if not container.get("command"):
        raise ConfigError("images are not pulled here: the container must say its command")
    words = [moved(expanded(word, environment), place.mounts) for word in said]
    words[0] = PROGRAMS.get(words[0], words[0])
    return words + _told(words[1:3], place)


def _told(module: list[str], place: Place) -> list[str]:
    """Options by which our programs learn what a pod's own network and mounts would give them."""
    if module == ["-m", "tiltyard_engine"]:
        told = ["--host", place.address, "--management-host", place.address]
        account = place.mounts.get(str(SERVICE_ACCOUNT))
        if account:
            told += ["--api-token", f"{account}/token", "--api-ca", f"{account}/ca.crt"]
        return told
    if module == ["-m", "tiltyard_engine.fetch"]:
        folders = {SECRETS: "--secret", CLAIMS: "--pvc"}
        return [
            word
            for path, folder in place.mounts.items()
            for option in [folders.get(path.rpartition("/")[0])]
            if option
            for word in (option, f"{path.rpartition('/')[2]}={folder}")
        ]
    return []


def environment_of(pod: Object, container: Object, place: Place) -> dict[str, str]:
    """Give the environment of a container."""
    found = dict(place.base)
    for source in container.get("envFrom", ()):
        found |= _all_of(source, place)
    for variable in container.get("env", ()):
        value = _value(pod, container, variable, place)
        if value is not None:
            found[variable["name"]] = expanded(value, found)
    return {name: moved(value, place.mounts) for name, value in found.items()}


def expanded(text: str, environment: Mapping[str, str]) -> str:
    """Put in variables as Kubernetes does: `$(NAME)`; an unknown one stays, `$$` is a dollar."""

    def put(found: re.Match[str]) -> str:
        if found[1] == "$":
            return "$"
        return environment.get(found[2], found[0])

    return _REFERENCE.sub(put, text)


def moved(text: str, mounts: Mapping[str, str]) -> str:
    """Replace paths below a mount by those below the folder that stands in for it."""
    if not mounts:
        return text
    longest_first = sorted(mounts, key=len, reverse=True)
    paths = "|".join(re.escape(path) for path in longest_first)
    return re.sub(rf"(?<![\w./-])({paths})(?![\w.-])", lambda found: mounts[found[1]], text)


def field_of(pod: Object, path: str, address: str) -> str:
    """Read a field of a pod as the downward API does."""
    metadata, spec = pod["metadata"], pod["spec"]
    keyed = re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path)
    if keyed:
        return str(metadata.get(keyed[1], {}).get(keyed[2], ""))
    match path:
        case "status.podIP" | "status.podIPs" | "status.hostIP":
            return address
        case "spec.nodeName" | "spec.serviceAccountName":
            return str(spec[path.removeprefix("spec.")])
        case "metadata.name" | "metadata.namespace" | "metadata.uid":
            return str(metadata[path.removeprefix("metadata.")])
        case "metadata.labels" | "metadata.annotations":
            items = metadata.get(path.removeprefix("metadata."), {}).items()
            return "\n".join(f'{name}="{value}"' for name, value in items)
        case _:
            raise ConfigError(f"the stand-in node does not know the field {path}")


def _value(pod: Object, container: Object, variable: Object, place: Place) -> str | None:
    source = variable.get("valueFrom")
    if not source:
        return str(variable.get("value", ""))
    match source:
        case {"fieldRef": {"fieldPath": path}}:
            return field_of(pod, path, place.address)
        case {"resourceFieldRef": {"resource": resource}}:
            return _resource(container, resource)
        case {"configMapKeyRef": reference}:
            return _key(reference, "ConfigMap", place)
        case {"secretKeyRef": reference}:
            return _key(reference, "Secret", place)
        case _:
            raise ConfigError(f"the stand-in node cannot give {variable['name']} its value")


def _key(reference: Object, kind: str, place: Place) -> str | None:
    data = place.sources.get((kind, reference["name"]))
    if data is not None and reference["key"] in data:
        return data[reference["key"]]
    if reference.get("optional"):
        return None
    raise ConfigError(f"{kind.lower()} {reference['name']} has no key {reference['key']}")


def _all_of(source: Object, place: Place) -> dict[str, str]:
    kind = "ConfigMap" if "configMapRef" in source else "Secret"
    reference = source["configMapRef" if kind == "ConfigMap" else "secretRef"]
    data = place.sources.get((kind, reference["name"]))
    if data is None and not reference.get("optional"):
        raise ConfigError(f'{kind.lower()} "{reference["name"]}" not found')
    return {source.get("prefix", "") + name: value for name, value in (data or {}).items()}


def _resource(container: Object, resource: str) -> str:
    """Give a limit in whole units, rounded up, as the downward API does by default."""
    group, name = resource.split(".", 1)
    quantity = str(container.get("resources", {}).get(group, {}).get(name, "0"))
    number, unit = re.fullmatch(r"([\d.]+)(\D*)", quantity).groups()  # type: ignore[union-attr]  # the API server checked it
    units = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return str(-int(-float(number) * units[unit] // 1))
