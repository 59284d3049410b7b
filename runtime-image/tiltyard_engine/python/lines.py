"""What a worker prints, as log lines: so many a second, each so long, and the rest only counted."""

from collections.abc import Iterator

LINE_BYTES = 2000
"""Most bytes of a line that is logged."""

LINES_A_SECOND = 50
"""Of one worker; a model that prints more must not fill a disk."""


class Lines:
    """Cuts what arrives into lines. Pure: the clock is passed in."""

    def __init__(self) -> None:
        self._rest = b""
        self._cut = False
        """Whether the line that is arriving was logged already, as far as it goes."""

        self._second = 0
        self._logged = 0
        self._dropped = 0

    def feed(self, data: bytes, now: float) -> Iterator[str]:
        """Lines to log of what arrived."""
        if int(now) != self._second:
            yield from self._dropped_before()
            self._second, self._logged = int(now), 0
        if self._logged >= LINES_A_SECOND:  # count, quickly: it may be a flood
            self._dropped += data.count(b"\n")
            self._cut = not data.endswith(b"\n")
            self._rest = b""
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            if self._cut:
                self._cut = False
            elif self._logged < LINES_A_SECOND:
                yield self._line(line)
            else:
                self._dropped += 1
        if len(self._rest) > LINE_BYTES:
            if not self._cut:
                yield self._line(self._rest)
            self._rest, self._cut = b"", True

    def end(self) -> Iterator[str]:
        """Give what is left when nothing more comes."""
        if self._rest and not self._cut:
            yield self._line(self._rest)
        yield from self._dropped_before()

    def _line(self, line: bytes) -> str:
        self._logged += 1
        return line[:LINE_BYTES].decode(errors="replace")

    def _dropped_before(self) -> Iterator[str]:
        if self._dropped:
            yield f"({self._dropped} lines more were not logged)"
            self._dropped = 0
