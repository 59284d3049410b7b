"""Volumes of a pod as folders."""

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cluster.api import Api, ApiError
from localnode.commands import ConfigError, field_of

Object = dict[str, Any]

_NO_TOKEN = (403, 404)
"""The namespace is being deleted, or the account was: its pods are told soon, and end."""


class Volumes:
    """Makes the folders of one pod; what a volume asks for and is not there yet is an error."""

    def __init__(self, api: Api, pod: Object, address: str, home: Path) -> None:
        self._api = api
        self._pod = pod
        self._address = address
        self._home = home
        self._namespace = f"/api/v1/namespaces/{pod['metadata']['namespace']}"

    def make(self) -> dict[str, Path]:
        """Make the folder of every volume; by the volume's name."""
        found: dict[str, Path] = {}
        for volume in self._pod["spec"].get("volumes", ()):
            outside = self._outside(volume)
            folder = found[volume["name"]] = outside or self._home / volume["name"]
            if outside:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for path, data in self._content(volume):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        return found

    def sources(self) -> dict[tuple[str, str], dict[str, str]]:
        """Read the ConfigMaps and Secrets that environments of this pod name."""
        spec = self._pod["spec"]
        found = {}
        for kind, name in set(_named([*spec.get("initContainers", ()), *spec["containers"]])):
            data = self._data(kind, name)
            if data is not None:
                found[kind, name] = {key: value.decode() for key, value in data.items()}
        return found

    def _outside(self, volume: Object) -> Path | None:
        """Give the folder of a volume that was there before its pod."""
        match volume:
            case {"hostPath": {"path": path}}:
                return Path(path)
            case {"persistentVolumeClaim": {"claimName": name}}:
                claim = self._api.call("GET", f"{self._namespace}/persistentvolumeclaims/{name}")
                path = f"/api/v1/persistentvolumes/{claim['spec']['volumeName']}"
                return self._outside(self._api.call("GET", path)["spec"])
            case _:
                return None

    def _content(self, volume: Object) -> Iterator[tuple[str, bytes]]:
        match volume:
            case {"emptyDir": _}:
                return
            case {"projected": {"sources": sources}}:
                for source in sources:
                    yield from self._projection(source)
            case {"configMap": source}:
                yield from self._keys("ConfigMap", source["name"], source)
            case {"secret": source}:
                yield from self._keys("Secret", source["secretName"], source)
            case {"downwardAPI": source}:
                yield from self._fields(source)
            case _:
                kinds = ", ".join(set(volume) - {"name"})
                raise ConfigError(f"the stand-in node has no volumes of the kind {kinds}")

    def _projection(self, source: Object) -> Iterator[tuple[str, bytes]]:
        match source:
            case {"configMap": inner}:
                yield from self._keys("ConfigMap", inner["name"], inner)
            case {"secret": inner}:
                yield from self._keys("Secret", inner["name"], inner)
            case {"downwardAPI": inner}:
                yield from self._fields(inner)
            case {"serviceAccountToken": inner}:
                yield inner["path"], self._token(inner)
            case _:
                raise ConfigError(f"the stand-in node cannot project {', '.join(source)}")

    def _keys(self, kind: str, name: str, source: Object) -> Iterator[tuple[str, bytes]]:
        data = self._data(kind, name)
        if data is None:
            if source.get("optional"):
                return
            raise ConfigError(f'{kind.lower()} "{name}" not found')
        items = source.get("items") or [{"key": key, "path": key} for key in data]
        for item in items:
            if item["key"] in data:
                yield item["path"], data[item["key"]]
            elif not source.get("optional"):
                raise ConfigError(
                    f"{kind.lower()} {name} references non-existent key {item['key']}"
                )

    def _fields(self, source: Object) -> Iterator[tuple[str, bytes]]:
        for item in source.get("items", ()):
            value = field_of(self._pod, item["fieldRef"]["fieldPath"], self._address)
            yield item["path"], value.encode()

    def _token(self, source: Object) -> bytes:
        metadata = self._pod["metadata"]
        bound = {"apiVersion": "v1", "kind": "Pod"} | {
            name: metadata[name] for name in ("name", "uid")
        }
        spec: Object = {"boundObjectRef": bound, "expirationSeconds": source["expirationSeconds"]}
        if source.get("audience"):
            spec["audiences"] = [source["audience"]]
        account = self._pod["spec"].get("serviceAccountName", "default")
        asked = f"{self._namespace}/serviceaccounts/{account}/token"
        try:
            return str(self._api.call("POST", asked, {"spec": spec})["status"]["token"]).encode()
        except ApiError as error:
            if error.status not in _NO_TOKEN:
                raise
            raise ConfigError(f"no token of {account!r}: {error.message}") from error

    def _data(self, kind: str, name: str) -> Mapping[str, bytes] | None:
        found = self._api.get(f"{self._namespace}/{kind.lower()}s/{name}")
        if found is None:
            return None
        plain = {} if kind == "Secret" else found.get("data", {})
        coded = found.get("data" if kind == "Secret" else "binaryData", {})
        return {name: text.encode() for name, text in plain.items()} | {
            name: base64.b64decode(text) for name, text in coded.items()
        }


def _named(containers: list[Object]) -> Iterator[tuple[str, str]]:
    kinds = {"configMapRef": "ConfigMap", "secretRef": "Secret"}
    kinds |= {"configMapKeyRef": "ConfigMap", "secretKeyRef": "Secret"}
    for container in containers:
        sources = [variable.get("valueFrom", {}) for variable in container.get("env", ())]
        for source in [*sources, *container.get("envFrom", ())]:
            for field, kind in kinds.items():
                if field in source:
                    yield kind, source[field]["name"]
