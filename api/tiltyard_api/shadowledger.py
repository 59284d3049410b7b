"""What an operator keeps of shadows: content of the evidence, which `tiltyard report` reads."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from tiltyard_api.base import Contract
from tiltyard_api.figures import VariantFigures
from tiltyard_api.packing import unpacked

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
    return unpacked(ShadowLedger, evidence, SHADOWS_KEY)
