"""The strata of an experiment in its file: the shares that were in force, by their digests."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from tiltyard_engine.feedback.book import FIRST, Book, Change, reals
from tiltyard_engine.feedback.layout import SHARED, SHARES, SINCE, TAG, Layout

_KNOWN = 1 << 63
"""Beside a tag: the stratum is there."""

TAG_BYTES = 4


def stratum_tag(shares: Mapping[str, float]) -> bytes:
    """Name shares: the same for the same shares, in every engine and at every time."""
    text = json.dumps({name: f"{share:.9f}" for name, share in shares.items()}, sort_keys=True)
    return hashlib.sha256(text.encode()).digest()[:TAG_BYTES]


class Strata:
    """The strata of one experiment.

    Args:
        book: its file.
        layout: of the file.

    """

    def __init__(self, book: Book, layout: Layout) -> None:
        self._book = book
        self._layout = layout
        self._places: dict[bytes, int] = {}

    def begin(self, shares: Mapping[str, float], now: float) -> bytes:
        """Note shares that are in force now; gives their tag."""
        tag = stratum_tag(shares)
        with self._book.changing() as change:
            place = self.place(change, tag, now)
            if place is not None:
                start = self._start(place)
                change.write(start + SHARED, 1)
                for number, name in enumerate(self._layout.variants):
                    change.write(start + SHARES + number, 0)
                    change.add_real(start + SHARES + number, shares[name])
        return tag

    def place(self, change: Change, tag: bytes, since: float) -> int | None:
        """Find or make the place of a stratum; None: there is no room for another."""
        found = self._places.get(tag)
        if found is not None:
            return found
        wanted = _KNOWN | int.from_bytes(tag, "big")
        for place in range(self._layout.strata):
            start = self._start(place)
            word = change.read(start + TAG)
            if word == 0:
                change.write(start + TAG, wanted)
                change.write(start + SINCE, int(since))
                return place
            if word == wanted:
                if start + TAG not in change.fresh:
                    self._places[tag] = place
                return place
        return None

    def known(self, tag: bytes) -> int | None:
        """Place of a stratum that is there already."""
        if tag not in self._places:
            wanted = _KNOWN | int.from_bytes(tag, "big")
            for place in range(self._layout.strata):
                if self._book.words[self._start(place) + TAG] == wanted:
                    self._places[tag] = place
        return self._places.get(tag)

    def told(self, words: memoryview, place: int) -> tuple[str, datetime, dict[str, float]] | None:
        """Id, beginning and shares of a stratum; None: there is none.

        Args:
            words: a copy of the file's.
            place: the stratum's.

        """
        start = self._start(place)
        tag = words[start + TAG]
        if not tag:
            return None
        shares: dict[str, float] = {}
        if words[start + SHARED]:
            numbers = words[start + SHARES : start + self._layout.stratum].tolist()
            shares = dict(zip(self._layout.variants, reals(numbers), strict=True))
        identity = (tag & ~_KNOWN).to_bytes(TAG_BYTES, "big").hex()
        return identity, datetime.fromtimestamp(words[start + SINCE], UTC), shares

    def _start(self, place: int) -> int:
        return FIRST + place * self._layout.stratum
