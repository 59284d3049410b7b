"""Settings of the operator. The only module that reads the environment."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tiltyard_api.artifacts import FETCH_TIME, MOST_SIZE, TRIAL_TIME
from tiltyard_api.names import MANAGEMENT_PORT
from tiltyard_api.quantities import quantity_bytes, seconds

LONGEST_TIME = "24h"
"""That fetching or trying a model may take."""


class BadSettings(Exception):  # noqa: N818 - what the settings are
    """Settings that cannot be used; a line for each fault."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is decided when the operator is started."""

    engine_image: str
    engine_pull_policy: str
    namespaces: tuple[str, ...]
    """Empty: all of the cluster."""

    resolve_cpus: float
    resolve_memory: str
    """Of Jobs that resolve Models; those of a Pipeline take its own."""

    resolve_pull_secrets: tuple[str, ...]
    """Secrets of a Model's namespace that its Jobs pull the engine's image with."""

    fetch_addresses: tuple[str, ...]
    """Networks that models may come from although only this machine can reach them."""

    fetch_size: str
    """Most bytes of a model."""

    fetch_time: str
    trial_time: str

    network_policy: bool
    monitoring_labels: Mapping[str, str]
    """Of namespaces that may read the management port."""

    pod_monitor: bool
    pod_proxy: bool
    """Ask pods by way of the API server."""

    resync: float
    workers: int
    port: int
    pod_name: str
    pod_namespace: str

    @property
    def lease_namespace(self) -> str:
        """Where the Lease lies: a namespace that is watched."""
        own = not self.namespaces or self.pod_namespace in self.namespaces
        return self.pod_namespace if own else self.namespaces[0]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of the environment."""

    field: str
    default: str | None
    """None: it must be given."""

    read: Callable[[str], Any]


def _text(value: str) -> str:
    if not value:
        raise ValueError("is empty")
    return value


def _one_of(*words: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value not in words:
            raise ValueError(f"{value!r} is none of {', '.join(words)}")
        return value

    return read


def _switch(value: str) -> bool:
    return _one_of("true", "false")(value) == "true"


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isdecimal() or not low <= int(value) <= high:
            raise ValueError(f"{value!r} is no whole number between {low} and {high}")
        return int(value)

    return read


def _cpus(value: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(m?)", value)
    if not found:
        raise ValueError(f"{value!r} is no number of cpus; write it like 0.5 or 500m")
    return float(found[1]) / (1000 if found[2] else 1)


def _bytes(value: str) -> str:
    if not quantity_bytes(value):
        raise ValueError("is 0")
    return value


def _time(value: str) -> str:
    if not 1 <= seconds(value) <= seconds(LONGEST_TIME):
        raise ValueError(f"{value!r} is not between 1s and {LONGEST_TIME}")
    return value


def _networks(value: str) -> tuple[str, ...]:
    networks = (network.strip() for network in value.split(","))
    return tuple(str(ipaddress.ip_network(network)) for network in networks if network)


def _names(value: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise ValueError(f"{name!r} is no name of such an object")
    return names


def _labels(value: str) -> Mapping[str, str]:
    pairs = [pair.strip() for pair in value.split(",") if pair.strip()]
    for pair in pairs:
        if not re.fullmatch(r"[\w./-]+=[\w.-]*", pair):
            raise ValueError(f"{pair!r} is no label; write it like team=observability")
    return dict(pair.split("=", 1) for pair in pairs)


VARIABLES: Mapping[str, Variable] = {
    "TILTYARD_ENGINE_IMAGE": Variable("engine_image", None, _text),
    "TILTYARD_ENGINE_PULL_POLICY": Variable(
        "engine_pull_policy", "IfNotPresent", _one_of("Always", "IfNotPresent", "Never")
    ),
    "TILTYARD_NAMESPACES": Variable("namespaces", "", _names),
    "TILTYARD_RESOLVE_CPUS": Variable("resolve_cpus", "1", _cpus),
    "TILTYARD_RESOLVE_MEMORY": Variable("resolve_memory", "1Gi", _bytes),
    "TILTYARD_RESOLVE_PULL_SECRETS": Variable("resolve_pull_secrets", "", _names),
    "TILTYARD_FETCH_ADDRESSES": Variable("fetch_addresses", "", _networks),
    "TILTYARD_FETCH_SIZE": Variable("fetch_size", MOST_SIZE, _bytes),
    "TILTYARD_FETCH_TIME": Variable("fetch_time", FETCH_TIME, _time),
    "TILTYARD_TRIAL_TIME": Variable("trial_time", TRIAL_TIME, _time),
    "TILTYARD_NETWORK_POLICY": Variable("network_policy", "true", _switch),
    "TILTYARD_MONITORING_LABELS": Variable(
        "monitoring_labels", "kubernetes.io/metadata.name=monitoring", _labels
    ),
    "TILTYARD_POD_MONITOR": Variable("pod_monitor", "true", _switch),
    "TILTYARD_POD_PROXY": Variable("pod_proxy", "false", _switch),
    "TILTYARD_RESYNC_SECONDS": Variable("resync", "300", _whole(1, 86_400)),
    "TILTYARD_WORKERS": Variable("workers", "8", _whole(1, 64)),
    "TILTYARD_LISTEN": Variable("port", str(MANAGEMENT_PORT), _whole(0, 65_535)),
    "POD_NAME": Variable("pod_name", None, _text),
    "POD_NAMESPACE": Variable("pod_namespace", None, _text),
}


SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT\w*|PORT(_\d+_\w+)?)")
"""What Kubernetes itself sets for a Service that has our name."""


def from_environment() -> Settings:
    """Settings of this process; see `read`."""
    return read(os.environ)


def read(environment: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        BadSettings: naming every variable that is missing or wrong.

    """
    values: dict[str, Any] = {}
    faults = []
    for name, variable in VARIABLES.items():
        text = environment.get(name, variable.default)
        if text is None:
            faults.append(f"{name} is not set; see docs/operator.md")
            continue
        try:
            values[variable.field] = variable.read(text)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    faults += [f"{name}: there is no such setting" for name in environment if _stray(name)]
    if faults:
        raise BadSettings("\n".join(faults))
    return Settings(**values)


def _stray(name: str) -> bool:
    ours = name.startswith("TILTYARD_") and not SERVICE_LINK.fullmatch(name)
    return ours and name not in VARIABLES
