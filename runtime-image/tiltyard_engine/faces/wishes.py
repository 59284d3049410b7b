"""What a client wishes of the answer, by query and headers: its form, its parts, its variants."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.selection import Selection, selection
from tiltyard_engine.errors import Refusal

JSON_TYPES = ("application/json", "application/*", "*/*")


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything but the data."""

    selection: Selection
    pins: Mapping[str, str]
    """Variants asked for, by step."""


@lru_cache(maxsize=1024)
def read_wishes(query: str, content_type: bytes, accept: bytes, variant: bytes) -> Wishes:
    """Read query and headers; clients repeat theirs, so that this is mostly one look-up.

    Raises:
        Refusal: a parameter, a format or a pin that makes no sense here.

    """
    _check_media(content_type, accept)
    return Wishes(selection(query), _pins(variant))


def _check_media(content_type: bytes, accept: bytes) -> None:
    """Refuse bodies that are not records, and clients that take nothing we can write.

    Raises:
        Refusal: UnsupportedMediaType or NotAcceptable.

    """
    media, parameters = _media(content_type.decode("latin-1"))
    if media not in ("", "application/json") or parameters.get("format", "pandas-records") != (
        "pandas-records"
    ):
        raise Refusal(
            Reason.UNSUPPORTED_MEDIA_TYPE,
            f"Content-Type {content_type.decode('latin-1')!r} is not taken:"
            " send application/json; format=pandas-records",
            field="Content-Type",
        )
    offers = [_media(part) for part in accept.decode("latin-1").split(",") if part.strip()]
    if offers and not any(
        offer in JSON_TYPES and options.get("q", "1").strip("0.") != "" for offer, options in offers
    ):
        raise Refusal(
            Reason.NOT_ACCEPTABLE,
            f"Accept {accept.decode('latin-1')!r} leaves nothing: accept application/json",
            field="Accept",
        )


def _media(value: str) -> tuple[str, dict[str, str]]:
    """Media type and parameters of a header value."""
    media, *parameters = (part.strip() for part in value.split(";"))
    pairs = (part.partition("=") for part in parameters)
    return media.lower(), {k.strip().lower(): v.strip().strip('"') for k, _, v in pairs}


def _pins(header: bytes) -> Mapping[str, str]:
    """Variants that a request asks for: `step=model`, several with commas."""
    if not header:
        return {}
    pins = {}
    for part in header.decode("latin-1").split(","):
        step, equals, variant = part.strip().partition("=")
        if not equals:
            raise Refusal(
                Reason.UNKNOWN_VARIANT,
                f"{part.strip()!r} is not of the form step=model: correct it",
                field="X-Tiltyard-Variant",
            )
        pins[step] = variant
    return pins
