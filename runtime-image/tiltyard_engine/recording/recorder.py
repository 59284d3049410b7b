"""The process that writes records: takes them from all workers and challengers of an engine.

A process of its own, at low priority, so that neither pyarrow nor a slow disk is felt by those who
answer. What it has not written yet stays in the rings: it may be killed and begins again there.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tiltyard_engine.codecs.arrow.kinds import ArrowBatch, ArrowSchema
from tiltyard_engine.log import log
from tiltyard_engine.recording.parcels import HEAD
from tiltyard_engine.recording.shelves import Shelf, Tally
from tiltyard_engine.recording.ways import Ways
from tiltyard_engine.ring import SLOTS, Ring

COLLECT_SECONDS = 0.1
"""Pause between two looks: what a killed engine loses, and how fresh files are."""

BUSY_SECONDS = 0.005
"""Pause while much comes."""


class Reader(Protocol):
    """Makes tables of the records of one stream."""

    schema: ArrowSchema

    def batches(self, record: memoryview) -> list[ArrowBatch]:
        """Tables of one record of a ring."""


@dataclass(frozen=True, slots=True)
class Place:
    """One stream, as the recorder has it."""

    reader: Reader
    shelf: Shelf
    tally: Tally


class Recorder:
    """Takes what waits, writes it, counts it."""

    def __init__(self, ways: Ways, places: Sequence[Place]) -> None:
        self._rings = ways.rings
        self._places = places
        self._ended = False

    def stop(self) -> None:
        """End soon."""
        self._ended = True

    def serve(self) -> None:
        """Write what comes until told to stop."""
        while True:
            ended = self._ended
            taken = self.collect()
            now = time.time()
            for place in self._places:
                place.shelf.turn(now)
            if ended and not taken:
                return
            if not ended:
                time.sleep(BUSY_SECONDS if taken > SLOTS // 8 else COLLECT_SECONDS)

    def collect(self) -> int:
        """Write all that waits. Returns how many records of the rings there were."""
        batches: list[list[ArrowBatch]] = [[] for _ in self._places]
        taken = [self._read(number, ring, batches) for number, ring in enumerate(self._rings)]
        upto = {
            number: ring.consumed + count
            for number, (ring, count) in enumerate(zip(self._rings, taken, strict=True))
        }
        for place, found in zip(self._places, batches, strict=True):
            if found:
                place.shelf.put(found, upto)
        for ring, count in zip(self._rings, taken, strict=True):
            ring.done(count)
        return sum(taken)

    def _read(self, number: int, ring: Ring, batches: list[list[ArrowBatch]]) -> int:
        count = 0
        for count, record in enumerate(ring.waiting(), 1):
            stream, rows, _, _ = HEAD.unpack_from(record)
            place = self._places[stream]
            if ring.consumed + count <= place.shelf.taken(number):
                continue  # written by the one before us, who had no time to say so
            try:
                batches[stream] += place.reader.batches(record)
            except Exception as error:  # noqa: BLE001 - of one record; the others go on
                place.tally.add("failed", rows)
                log("records could not be made into a table", rows=rows, why=repr(error)[:300])
        return count


def settle_before(ways: Ways, places: Sequence[Place]) -> None:
    """Count, once, what an engine before this one was killed with."""
    notes = ways.rings[0].notes
    if notes[-1]:
        return
    for place, before, kept in zip(places, ways.before, ways.kept, strict=True):
        place.tally.add("lost", max(before - (place.tally.kept - kept), 0))
    notes[-1] = 1
