"""The rows in which a challenger is furthest from its champion, with what both were given.

They lie in memory that the engine's processes share: the challengers' process writes, the
management port reads. They are gone when the engine ends.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from heapq import heappush, heapreplace
from math import inf

import orjson

from tiltyard_api.figures import Disagreement
from tiltyard_api.plan import Plan
from tiltyard_engine.codecs.answers import column_texts
from tiltyard_engine.columns import Column, Columns, row_of
from tiltyard_engine.comparison import distance
from tiltyard_engine.mirrored import Part
from tiltyard_engine.outbox import LaneKey, logged
from tiltyard_engine.slate import Slate

ROW_BYTES = 16 << 10
"""Most JSON of one row: a row that has more is kept without its inputs."""

Slates = Mapping[LaneKey, Slate]
"""Of one worker's challengers, those whose disagreements are kept."""


def make_slates(plans: Sequence[Plan]) -> dict[LaneKey, Slate]:
    """Make room for what challengers of one worker are to keep."""
    return {key: Slate(2 + step.keep * ROW_BYTES) for key, _, step in logged(plans) if step.keep}


class Kept:
    """The worst disagreements of one challenger; of equal ones the newest."""

    def __init__(self, output: str, slate: Slate) -> None:
        """Go on from what a process before this one had kept."""
        self._output = output
        self._slate = slate
        self._most = slate.size // ROW_BYTES
        self._seen = 0
        self._worst: list[tuple[float, int, bytes]] = []
        for one in reversed(read(slate)):
            self._keep(_far(one), orjson.dumps(one.model_dump(mode="json", by_alias=True)))

    def saw(self, part: Part, outputs: Columns, rows: Sequence[int]) -> None:
        """Keep what is worse than what is kept, of rows that do not match."""
        ours, theirs = part.outputs[self._output], outputs[self._output]
        before = self._seen
        for row in rows:
            far = distance(row_of(ours, row), row_of(theirs, row))
            if len(self._worst) < self._most or far >= self._worst[0][0]:
                self._keep(far, _text(far, row_of(ours, row), row_of(theirs, row), part, row))
        if self._seen > before:
            found = b",".join(text for _, _, text in sorted(self._worst, reverse=True))
            self._slate.write(b"[" + found + b"]")

    def _keep(self, far: float, text: bytes) -> None:
        self._seen += 1
        entry = (far, self._seen, text)
        if len(self._worst) < self._most:
            heappush(self._worst, entry)
        else:
            heapreplace(self._worst, entry)


def read(slate: Slate) -> list[Disagreement]:
    """What is kept there, the worst first."""
    return [Disagreement.model_validate(one) for one in orjson.loads(slate.read() or b"[]")]


def worst(workers: Sequence[Slates], key: LaneKey) -> list[Disagreement]:
    """What all workers together keep of a challenger, the worst first."""
    slates = [slates[key] for slates in workers]
    every = [one for slate in slates for one in read(slate)]
    every.sort(key=lambda one: (_far(one), one.at), reverse=True)
    return every[: slates[0].size // ROW_BYTES]


def _far(one: Disagreement) -> float:
    return inf if one.difference is None else one.difference


def _text(far: float, champion: Column, challenger: Column, part: Part, row: int) -> bytes:
    """JSON of a row, without inputs or even outputs where it would be too long."""
    told = b'{"at":%d,"difference":%b' % (time.time_ns() // 10**6, orjson.dumps(far))
    both = b',"champion":%b,"challenger":%b' % (_json(champion), _json(challenger))
    inputs = b",".join(_fields(part.inputs, row))
    for text in (b'%b%b,"inputs":{%b}}' % (told, both, inputs), b"%b%b}" % (told, both)):
        if len(text) < ROW_BYTES:  # a comma follows
            return text
    return told + b"}"


def _fields(columns: Columns, row: int) -> Iterator[bytes]:
    for name, column in columns.items():
        yield orjson.dumps(name) + b":" + _json(row_of(column, row))


def _json(row: Column) -> bytes:
    return column_texts(row)[0]
