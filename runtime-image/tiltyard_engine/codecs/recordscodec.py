"""The codec of pandas-style records: what `records` reads and `answers` writes."""

from tiltyard_api.plan import Plan
from tiltyard_engine.codecs.answers import AnswersWriter
from tiltyard_engine.codecs.base import Taken
from tiltyard_engine.codecs.echo import Echo
from tiltyard_engine.codecs.records import RecordsReader
from tiltyard_engine.problem import JSON
from tiltyard_engine.sizes import Sizes


class RecordsCodec:
    """Records in and out for one plan."""

    header = JSON

    def __init__(self, plan: Plan, partition: str, sizes: Sizes) -> None:
        self._reader = RecordsReader(plan, sizes.rows, sizes.depth)
        self.write = AnswersWriter(plan, partition).write
        """Encodes records; bound here, since a call more is felt on one row."""

    def read(self, body: bytes) -> Taken:
        """Decode records."""
        decoded = self._reader.read(body)
        echo = Echo(body, decoded.plain)
        return Taken(decoded.rows, decoded.tensors, decoded.fields, echo)
