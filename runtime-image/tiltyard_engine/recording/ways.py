"""The rings on which records come to the recorder, made before anything is forked."""

import secrets
from collections.abc import Sequence

from tiltyard_api.recordfiles import FEEDBACK, INFERENCES
from tiltyard_engine.counters import Block, CounterFile, Series
from tiltyard_engine.lane import Record
from tiltyard_engine.outbox import LaneKey
from tiltyard_engine.recording.challenging import ChallengerRecording
from tiltyard_engine.recording.results import KEPT
from tiltyard_engine.recording.sending import Account, Sender, make_way
from tiltyard_engine.recording.streams import Stream, unsettled
from tiltyard_engine.recording.taking import Recording
from tiltyard_engine.ring import Ring

BY_WORKER = (INFERENCES, FEEDBACK)


class Ways:
    """Rings to the recorder, made before the fork: one from each worker and its challengers."""

    def __init__(self, streams: Sequence[Stream], counters: CounterFile) -> None:
        self.streams = streams
        self.workers = [make_way(len(streams)) for _ in counters.blocks]
        self.challengers = [make_way(len(streams)) for _ in counters.blocks]
        self.writer = f"{counters.incarnation}/{secrets.token_hex(4)}"
        self.before = [unsettled(counters, stream.labels) for stream in streams]
        """Rows that an engine before us had in its memory, or had not counted yet."""

        self.kept = [counters.total(Series(KEPT, stream.labels)) for stream in streams]
        """Rows in files, as far as it had counted."""

        for block, worker, beside in zip(
            counters.blocks, self.workers, self.challengers, strict=True
        ):
            self.from_worker(block, worker).begin()
            self.from_challengers(block, beside).begin()

    def from_worker(self, block: Block, ring: Ring) -> Sender:
        """What a worker sends with: what callers were answered, and what came of it."""
        return self._sender(block, ring, [s.name in BY_WORKER for s in self.streams])

    def from_challengers(self, block: Block, ring: Ring) -> Sender:
        """What a worker's challengers send with."""
        return self._sender(block, ring, [s.name not in BY_WORKER for s in self.streams])

    def _sender(self, block: Block, ring: Ring, mine: Sequence[bool]) -> Sender:
        accounts = {
            number: Account(block, stream.labels)
            for number, (stream, own) in enumerate(zip(self.streams, mine, strict=True))
            if own
        }
        return Sender(ring, len(self.streams), accounts)

    def recordings(self, block: Block, number: int) -> dict[str, Recording]:
        """What a worker writes down with, by Pipeline; counts what one before it died with."""
        sender = self.from_worker(block, self.workers[number])
        sender.settle()
        places = {stream.labels: place for place, stream in enumerate(self.streams)}
        return {
            stream.labels[0]: Recording(
                stream.loaded.plan,
                stream.records,
                sender,
                place,
                places.get((stream.labels[0], FEEDBACK)),
            )
            for place, stream in enumerate(self.streams)
            if stream.name == INFERENCES
        }

    def challengers_records(self, block: Block, number: int) -> dict[LaneKey, Record]:
        """Likewise for a worker's challengers."""
        sender = self.from_challengers(block, self.challengers[number])
        sender.settle()
        return {
            LaneKey(stream.labels[0], *stream.name.split(".")): ChallengerRecording(
                sender, place
            ).ran
            for place, stream in enumerate(self.streams)
            if stream.name not in BY_WORKER
        }

    @property
    def rings(self) -> list[Ring]:
        """All of them, as the recorder numbers them."""
        return [*self.workers, *self.challengers]
