"""Mirrored requests, and what of them a challenger sees in one call.

Small requests are copied, row behind row, into arrays that are used again and again.
"""

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tiltyard_engine.columns import Array, Columns, size_of

BATCH_ROWS = 64
"""Rows of small requests taken at once: beyond it a batch gains little and holds memory."""

SMALL_BYTES = 16 << 10
"""Widest row that is copied; of wider ones a challenger sees one request a call."""

Answer = Future[Columns | None]


class Batch:
    """Requests that run together, oldest first."""

    def __init__(self, inputs: Columns, outputs: Columns, room: int | None) -> None:
        self._inputs = inputs
        self._outputs = outputs
        self._room = room
        """Rows that fit; None: what is held is one part."""

        self._ends = array("q", (0,))
        """Row behind the last of each request, after a 0."""

        self._offered = array("d")
        self.answers: list[Answer] = []
        """As the parts have them."""

        self._ids: list[str] = []

        self.bytes = size_of(inputs) + size_of(outputs)
        """Memory that it holds."""

    @classmethod
    def of(cls, part: "Part") -> "Batch":
        """Hold a part as it is; no other joins it."""
        batch = cls(part.inputs, part.outputs, None)
        batch._note(part)
        return batch

    @classmethod
    def copy_of(cls, part: "Part") -> "Batch":
        """Hold a copy of a part, whose own memory may soon hold something else."""
        return cls.of(replace(part, inputs=_copied(part.inputs), outputs=_copied(part.outputs)))

    @classmethod
    def for_many(cls, part: "Part") -> "Batch | None":
        """Make room for parts like this one; None: it is too large, or not of plain arrays."""
        inputs, outputs = _room_for(part.inputs), _room_for(part.outputs)
        if part.rows > BATCH_ROWS or inputs is None or outputs is None:
            return None
        return cls(inputs, outputs, BATCH_ROWS)

    def add(self, part: "Part") -> bool:
        """Copy a part behind the others, if it is like them and there is room."""
        start = self._ends[-1]
        end = start + part.rows
        if self._room is None or end > self._room:
            return False
        if not (_alike(self._inputs, part.inputs) and _alike(self._outputs, part.outputs)):
            return False
        for name, kept in self._inputs.items():
            kept[start:end] = part.inputs[name]
        for name, kept in self._outputs.items():
            kept[start:end] = part.outputs[name]
        self._note(part)
        return True

    @property
    def reusable(self) -> bool:
        """Whether it holds copies, whose room the next batch may have."""
        return self._room is not None

    def clear(self) -> None:
        """Forget the requests, keep the room."""
        del self._ends[1:], self._offered[:]
        self.answers = []
        self._ids = []

    def __len__(self) -> int:
        """How many requests there are."""
        return len(self._offered)

    def late(self, oldest: float) -> int:
        """How many of the first requests were offered before a moment."""
        return sum(offered < oldest for offered in self._offered)

    def part(self, first: int, last: int) -> "Part":
        """Requests from `first` to before `last`."""
        ends = self._ends[first : last + 1]
        return Part(
            _rows(self._inputs, ends[0], ends[-1]),
            _rows(self._outputs, ends[0], ends[-1]),
            [end - ends[0] for end in ends],
            self._offered[first] if first < last else math.inf,
            self.answers[first:last],
            self._ids[first:last] if any(self._ids) else (),
        )

    def _note(self, part: "Part") -> None:
        begin = self._ends[-1]
        self._ends.extend(begin + end for end in part.ends[1:])
        self._offered.extend([part.offered] * part.requests)
        self.answers += part.answers
        self._ids += part.ids or [""] * part.requests


@dataclass(frozen=True, slots=True)
class Part:
    """Some requests, one behind the other."""

    inputs: Columns
    outputs: Columns
    """The champion's, to compare with."""

    ends: Sequence[int]
    """Row behind the last of each request, after a 0."""

    offered: float
    """Moment of the monotonic clock at which they, or the first of them, came."""

    answers: Sequence[Answer] = ()
    """Where somebody waits for the outputs: one for each request; else none."""

    ids: Sequence[str] = ()
    """Where any is recorded: the ids of those that are, and empty texts; else none."""

    @property
    def requests(self) -> int:
        """How many there are."""
        return len(self.ends) - 1

    @property
    def rows(self) -> int:
        """Rows of them all."""
        return self.ends[-1]

    def each_rows(self) -> Iterator[int]:
        """Rows of each request."""
        return (end - start for start, end in pairwise(self.ends))

    def singly(self) -> "Iterator[Part]":
        """Each request by itself."""
        for number, (start, end) in enumerate(pairwise(self.ends)):
            inputs, outputs = _rows(self.inputs, start, end), _rows(self.outputs, start, end)
            answers = self.answers[number : number + 1]
            ids = self.ids[number : number + 1]
            yield Part(inputs, outputs, (0, end - start), self.offered, answers, ids)

    def settle(self, outputs: Columns) -> None:
        """Give each request its rows of the outputs, if anybody waits for them."""
        for answer, (start, end) in zip(self.answers, pairwise(self.ends), strict=False):
            if answer.set_running_or_notify_cancel():
                answer.set_result(_rows(outputs, start, end))


def settle(answers: Iterable[Answer]) -> None:
    """Tell those who still wait that there will be nothing."""
    for answer in answers:
        if not answer.done() and answer.set_running_or_notify_cancel():
            answer.set_result(None)


def _rows(columns: Columns, start: int, end: int) -> Columns:
    return {name: column[start:end] for name, column in columns.items()}


def _copied(columns: Columns) -> Columns:
    return {n: c if isinstance(c, list) else c.copy() for n, c in columns.items()}


def _room_for(columns: Columns) -> Columns | None:
    """Empty arrays for rows like these; None where rows are wide, ragged or texts."""
    width = 0
    for column in columns.values():
        if isinstance(column, list) or column.dtype.hasobject:
            return None
        width += column.nbytes // max(len(column), 1)
    if width > SMALL_BYTES:
        return None
    return {
        name: np.empty((BATCH_ROWS, *column.shape[1:]), column.dtype)
        for name, column in _arrays(columns)
    }


def _alike(kept: Columns, columns: Columns) -> bool:
    """Whether rows may stand in one array with those that are kept."""
    for name, array_ in _arrays(kept):
        column = columns[name]
        if isinstance(column, list) or column.dtype != array_.dtype:
            return False
        if column.shape[1:] != array_.shape[1:]:
            return False
    return True


def _arrays(columns: Columns) -> Iterator[tuple[str, Array]]:
    for name, column in columns.items():
        if not isinstance(column, list):
            yield name, column
