"""The part of the chart's schema that follows from the operator: which settings there are."""

import json
import re
from pathlib import Path

from tiltyard_operator.settings import VARIABLES

PREFIX = "TILTYARD_"

OF_THE_CHART = frozenset(
    {
        "TILTYARD_ENGINE_IMAGE",
        "TILTYARD_ENGINE_PULL_POLICY",
        "TILTYARD_LISTEN",
        "TILTYARD_MONITORING_LABELS",
        "TILTYARD_NAMESPACES",
        "TILTYARD_NETWORK_POLICY",
    }
)
"""Settings that the chart gives, or relies on, itself."""


def settings() -> dict[str, str]:
    """Variables that a user of the chart may set, by their names under `settings`."""
    mine = (name for name in VARIABLES if name.startswith(PREFIX) and name not in OF_THE_CHART)
    return {key(name): name for name in mine}


def key(variable: str) -> str:
    """Name of a variable under `settings`: TILTYARD_RESYNC_SECONDS is resyncSeconds."""
    words = variable.removeprefix(PREFIX).lower()
    return re.sub(r"_(\w)", lambda found: found[1].upper(), words)


def schema(path: Path) -> bytes:
    """Give the chart's schema with the settings that there are."""
    said = json.loads(path.read_text())
    known = {name: {"$ref": "#/definitions/setting"} for name in settings()}
    said["properties"]["settings"]["properties"] = known
    return (json.dumps(said, indent=2) + "\n").encode()
