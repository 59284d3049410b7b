"""What a client wishes of the answer, by query and headers: its form, its parts, its variants."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.formats import Format
from tiltyard_engine.codecs.selection import Selection, selection
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.variants import read_pins

ANYTHING = ("*/*", "application/*")
DEFAULT = 0
"""Which of the formats is meant where none is named."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything but the data."""

    sent: int
    """Format of the request, by its place among those that are served."""

    wanted: int
    """Format of the answer, likewise."""

    selection: Selection
    pins: Mapping[str, str]
    """Variants asked for, by step."""


def read_wishes(
    formats: Sequence[Format], query: str, content_type: bytes, accept: bytes, variant: bytes
) -> Wishes:
    """Read query and headers.

    Raises:
        Refusal: a parameter, a format or a pin that makes no sense here.

    """
    sent = _sent_format(formats, content_type.decode("latin-1"))
    wanted = _wanted_format(formats, accept.decode("latin-1"))
    return Wishes(sent, wanted, selection(query), read_pins(variant))


def _sent_format(formats: Sequence[Format], content_type: str) -> int:
    """Find the format of a body.

    Raises:
        Refusal: UnsupportedMediaType.

    """
    media, parameters = _media(content_type)
    for index, known in enumerate(formats):
        if media in (known.media, *([""] if index == DEFAULT else [])) and all(
            parameters.get(name, value) == value for name, value in known.parameters.items()
        ):
            return index
    there = " or ".join(map(str, formats))
    raise Refusal(
        Reason.UNSUPPORTED_MEDIA_TYPE,
        f"Content-Type {content_type!r} is not taken: send {there}",
        field="Content-Type",
    )


def _wanted_format(formats: Sequence[Format], accept: str) -> int:
    """Find the format that a client likes best, the one it names before one it only allows.

    Raises:
        Refusal: NotAcceptable.

    """
    offers = [_media(part) for part in accept.split(",") if part.strip()]
    if not offers:
        return DEFAULT
    liked = {media: _quality(options) for media, options in offers}  # in the client's order
    best, found = (0.0, False), -1
    for media, quality in liked.items():
        for index, known in enumerate(formats):
            named = media == known.media
            allowed = named or (media in ANYTHING and known.media not in liked)
            if allowed and quality > 0 and (quality, named) > best:
                best, found = (quality, named), index
    if found < 0:
        there = ", ".join(known.media for known in formats)
        raise Refusal(
            Reason.NOT_ACCEPTABLE,
            f"Accept {accept!r} leaves nothing: accept one of {there}",
            field="Accept",
        )
    return found


def _quality(options: Mapping[str, str]) -> float:
    try:
        return float(options.get("q", "1"))
    except ValueError:
        return 1.0  # a client that cannot spell its liking does like it


def _media(value: str) -> tuple[str, dict[str, str]]:
    """Media type and parameters of a header value."""
    media, *parameters = (part.strip() for part in value.split(";"))
    pairs = (part.partition("=") for part in parameters)
    return media.lower(), {k.strip().lower(): v.strip().strip('"') for k, _, v in pairs}
