"""What an operator keeps of shadows: content of the evidence, which `tiltyard report` reads."""

import zlib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.figures import VariantFigures

SHADOWS_KEY = "shadows.json.zlib"
"""Its place in the ConfigMap."""

MOST_OVER = 1000
"""Pods that are gone whose names are remembered."""

Figures = dict[str, dict[str, VariantFigures]]
"""What was counted, by step and variant."""


class ShadowLedger(Contract):
    """What champions and challengers ever did under one plan, on all pods."""

    plan: str = Field(max_length=64)
    """Hash of the plan: under another one all begins anew."""

    total: Figures = Field(default={})
    """On all pods together, those that are gone too."""

    gone: Figures = Field(default={})
    """On pods that are gone."""

    over: tuple[str, ...] = Field(default=(), max_length=MOST_OVER)
    """Names of pods that are in `gone`."""


def read_shadows(evidence: Mapping[str, Any] | None) -> ShadowLedger | None:
    """Read it from the ConfigMap; what is damaged counts as missing."""
    text = ((evidence or {}).get("binaryData") or {}).get(SHADOWS_KEY)
    try:
        return ShadowLedger.model_validate_json(zlib.decompress(b64decode(text))) if text else None
    except (ValueError, zlib.error):
        return None
