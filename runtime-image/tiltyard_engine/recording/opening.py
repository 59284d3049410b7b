"""Opens what the recorder writes to, by what the plans say, and runs it: the process itself."""

import hashlib
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from tiltyard_api.recordfiles import BACKLOG, FEEDBACK, INFERENCES, OPEN_SECONDS
from tiltyard_engine.codecs.arrow.kinds import ArrowBatch, ArrowSchema
from tiltyard_engine.counters import CounterFile
from tiltyard_engine.recording.challenging import read_ran
from tiltyard_engine.recording.outcomes import read_outcomes
from tiltyard_engine.recording.parcels import Parcels
from tiltyard_engine.recording.recorder import Place, Reader, Recorder, settle_before
from tiltyard_engine.recording.shelves import Files, Keeping, Lines, Shelf, Tally
from tiltyard_engine.recording.streams import Stream
from tiltyard_engine.recording.tables import (
    ChallengerTables,
    FeedbackTables,
    InferenceTables,
    Redaction,
)
from tiltyard_engine.recording.uploads import Uploads
from tiltyard_engine.recording.ways import Ways
from tiltyard_engine.settings import Settings
from tiltyard_engine.signals import SIGNALS
from tiltyard_engine.sources.addresses import EVERYWHERE, Addresses
from tiltyard_engine.sources.base import Access, Limits
from tiltyard_engine.sources.objects import put_object

PRIORITY = 10
"""Nice value: those who answer come first; challengers come last."""

STORE_SECONDS = 60.0
"""How long a file for a store is open: its rows are read there after that."""

ATTEMPT_SECONDS = 60.0
"""How long one attempt to send a file may take."""

END_SECONDS = 3.5
"""How long the end waits for a store."""

KEY = "records-hash-key"
"""Of the sink's Secret: the key of the digests, in place of one made of the Pipeline's uid."""


def run_recorder(settings: Settings, ways: Ways, counters: CounterFile) -> None:
    """Write records until SIGTERM."""
    os.nice(PRIORITY)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor says when
    opener = _Opener(settings, ways, counters)
    places = [opener.place(stream) for stream in ways.streams]
    recorder = Recorder(ways, places)
    for number in (signal.SIGTERM, signal.SIGUSR1):
        signal.signal(number, lambda *_: recorder.stop())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    settle_before(ways, places)
    uploads = list(opener.uploads())
    recorder.serve()
    for place in places:
        place.shelf.close()
    deadline = time.monotonic() + END_SECONDS
    for one in uploads:
        one.finish(max(deadline - time.monotonic(), 0))


class _Opener:
    def __init__(self, settings: Settings, ways: Ways, counters: CounterFile) -> None:
        self._settings = settings
        self._writer = ways.writer
        self._block = counters.blocks[0]
        self._stores: dict[str, tuple[Stream, dict[str, Tally]]] = {}

    def place(self, stream: Stream) -> Place:
        """Open one stream."""
        tally = Tally(self._block, stream.labels)
        redaction = Redaction(stream.records, self._key(stream))
        reader = _reader(stream, redaction, self._settings.partition)
        return Place(reader, self._shelf(stream, reader.schema, tally), tally)

    def uploads(self) -> Iterator[Uploads]:
        """Begin to send what goes to stores."""
        for pipeline, (stream, tallies) in self._stores.items():
            put = partial(_put, stream.records.uri, pipeline, self._access(stream))
            uploads = Uploads(self._scratch(pipeline), put, tallies)
            uploads.recover()
            uploads.start()
            yield uploads

    def _shelf(self, stream: Stream, schema: ArrowSchema, tally: Tally) -> Shelf:
        pipeline, records = stream.labels[0], stream.records
        if records.uri == "stdout:":
            return Lines(tally, *stream.labels)
        if records.uri.startswith("file:"):
            folder = Path(unquote(urlsplit(records.uri).path)) / pipeline / stream.name
            keeping = Keeping(folder, OPEN_SECONDS, True, records.keep_size, records.keep_for)
        else:
            folder = self._scratch(pipeline) / stream.name
            keeping = Keeping(folder, STORE_SECONDS, False, BACKLOG << 20)
            self._stores.setdefault(pipeline, (stream, {}))[1][stream.name] = tally
        files = Files(keeping, schema, tally, self._writer)
        files.recover()
        return files

    def _scratch(self, pipeline: str) -> Path:
        return self._settings.state / "records" / pipeline

    def _secret(self, stream: Stream) -> Path | None:
        name = stream.records.secret
        return self._settings.secrets / name if name else None

    def _access(self, stream: Stream) -> Access:
        """The user's own store: whoever can write the Secret can write there anyway."""
        return Access(secret=self._secret(stream), addresses=Addresses(EVERYWHERE))

    def _key(self, stream: Stream) -> bytes:
        said = Access(secret=self._secret(stream)).key(KEY)
        text = said or stream.loaded.table.pipeline_uid
        return hashlib.sha256(text.encode()).digest()


class _Inferences:
    def __init__(self, parcels: Parcels, tables: InferenceTables) -> None:
        self.schema = tables.schema
        self._parcels = parcels
        self._tables = tables

    def batches(self, record: memoryview) -> list[ArrowBatch]:
        return [self._tables.batch(parcel) for parcel in self._parcels.read(record)]


class _Challenger:
    def __init__(self, tables: ChallengerTables) -> None:
        self.schema = tables.schema
        self._tables = tables

    def batches(self, record: memoryview) -> list[ArrowBatch]:
        return [self._tables.batch(*read_ran(record))]


class _Outcomes:
    def __init__(self) -> None:
        self._tables = FeedbackTables()
        self.schema = self._tables.schema

    def batches(self, record: memoryview) -> list[ArrowBatch]:
        return [self._tables.batch(*read_outcomes(record))]


def _reader(stream: Stream, redaction: Redaction, partition: str) -> Reader:
    plan, records = stream.loaded.plan, stream.records
    if stream.name == INFERENCES:
        tables = InferenceTables(plan, redaction, partition, inputs=records.inputs)
        return _Inferences(Parcels(plan, records), tables)
    if stream.name == FEEDBACK:
        return _Outcomes()
    name = stream.name.partition(".")[2]
    model = next(one for one in plan.models if one.name == name)
    return _Challenger(ChallengerTables(model.outputs, name, redaction))


def _put(uri: str, pipeline: str, access: Access, name: str, data: bytes) -> None:
    limited = Access(
        secret=access.secret,
        addresses=access.addresses,
        limits=Limits(seconds=ATTEMPT_SECONDS),
        deadline=time.monotonic() + ATTEMPT_SECONDS,
    )
    put_object(f"{uri.rstrip('/')}/{pipeline}/{name}", data, limited)
