"""Where artifacts come from: one module a family, each behind one function that opens a stream."""

from collections.abc import Callable
from importlib import import_module
from urllib.parse import SplitResult, urlsplit

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.sources.base import Access, ArtifactError, Opened, shown

Opener = Callable[[str, SplitResult, Access], Opened]

FAMILIES = {
    "file": ("local", "open_file"),
    "pvc": ("local", "open_claim"),
    "http": ("web", "open_url"),
    "https": ("web", "open_url"),
    "s3": ("objects", "open_object"),
    "gs": ("objects", "open_object"),
    "az": ("objects", "open_object"),
    "oci": ("registry", "open_layer"),
    "hf": ("hub", "open_file"),
}
"""Module and function of each scheme; a module is imported when somebody asks for it."""


def open_source(uri: str, access: Access) -> Opened:
    """Open the stream of an artifact.

    Raises:
        ArtifactError: it cannot be had.

    """
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        raise ArtifactError(
            ConditionReason.SOURCE_UNSUPPORTED, f"{shown(uri)} is no URI: {error}"
        ) from error
    if parts.scheme not in FAMILIES:
        scheme = f"{parts.scheme}:" if parts.scheme else "a path without a scheme"
        known = ", ".join(f"{name}:" for name in FAMILIES)
        raise ArtifactError(
            ConditionReason.SOURCE_UNSUPPORTED, f"{uri}: {scheme} is not a source: use {known}"
        )
    module, function = FAMILIES[parts.scheme]
    opener: Opener = getattr(import_module(f"{__name__}.{module}"), function)
    return opener(uri, parts, access)
