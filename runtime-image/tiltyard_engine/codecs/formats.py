"""The wire formats of `/pipelines/NAME`. A new one is a file of its own and its line here."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

from tiltyard_api.plan import Plan
from tiltyard_api.reasons import Reason
from tiltyard_engine.codecs.base import Codec
from tiltyard_engine.codecs.recordscodec import RecordsCodec
from tiltyard_engine.errors import Refusal
from tiltyard_engine.sizes import Sizes

Open = Callable[[Plan, str, Sizes], Codec]
"""Makes a codec for a plan and the name of the engine that answers."""


@dataclass(frozen=True, slots=True)
class Format:
    """How clients name a format, and how it is opened."""

    media: str
    open: Open
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the media type that may be named, with the value they must then have."""

    def __str__(self) -> str:
        return "; ".join((self.media, *(f"{k}={v}" for k, v in self.parameters.items())))


def _from_extra(extra: str, module: str, name: str) -> Open:
    """Open a codec whose library is imported on first use, and may not be installed."""

    def open_it(plan: Plan, partition: str, sizes: Sizes) -> Codec:
        try:
            found = getattr(import_module(module), name)
        except ImportError as error:
            raise Refusal(
                Reason.UNSUPPORTED_MEDIA_TYPE,
                f"this engine was installed without that format ({error}): install"
                f" tiltyard[{extra}]",
            ) from error
        codec: Codec = found(plan, partition, sizes)
        return codec

    return open_it


_ARROW = "tiltyard_engine.codecs.arrow.codec"

FORMATS = (
    Format("application/json", RecordsCodec, {"format": "pandas-records"}),
    Format("application/vnd.apache.arrow.file", _from_extra("arrow", _ARROW, "ArrowFileCodec")),
    Format("application/vnd.apache.arrow.stream", _from_extra("arrow", _ARROW, "ArrowStreamCodec")),
)
"""The first is meant where a client names none."""
