"""Contracts with long lists, mostly of small numbers, as a ConfigMap holds them."""

import zlib
from base64 import b64decode
from collections.abc import Mapping
from typing import Any, TypeVar

from tiltyard_api.base import Contract, canonical

Content = TypeVar("Content", bound=Contract)


def packed(contract: Contract) -> bytes:
    """Write what has long lists."""
    return zlib.compress(canonical(contract))


def unpacked(kind: type[Content], config: Mapping[str, Any] | None, key: str) -> Content | None:
    """Read it from its key of a ConfigMap; what is damaged counts as missing."""
    text = ((config or {}).get("binaryData") or {}).get(key)
    try:
        return kind.model_validate_json(zlib.decompress(b64decode(text))) if text else None
    except (ValueError, zlib.error):
        return None
