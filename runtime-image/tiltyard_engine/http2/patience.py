"""How much a client may ask of us that leads to no answer."""

from typing import Final

from tiltyard_engine.http2.faults import Code, ConnectionFault
from tiltyard_engine.http2.frames import Kind

FULL: Final = 2000
"""What is had at first, and again after every rest."""

PER_ANSWER: Final = 16
"""What an answer gives back: asking for it takes a few such frames."""

_COSTS: Final = {int(Kind.RST_STREAM): 8}


class Patience:
    """Bounds floods of frames that are cheap to send: pings, settings, resets, empty pieces."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = FULL

    def spend(self, kind: int) -> None:
        """Pay for one frame.

        Raises:
            ConnectionFault: there were too many.

        """
        self.left -= _COSTS.get(kind, 1)
        if self.left < 0:
            message = "too many frames that ask for nothing: send requests, or nothing"
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, message)

    def answered(self) -> None:
        """Gain by an answer."""
        self.left = min(FULL, self.left + PER_ANSWER)

    def rest(self) -> None:
        """Gain by the passing of time."""
        self.left = FULL
