"""Counters in a memory-mapped file: a killed process loses none, a restarted one goes on.

Each worker has a block of unsigned 64-bit numbers of its own, laid out by the plan alone, so that
nothing is locked. Each number has one writing thread. Readers add the blocks up.
"""

import hashlib
import mmap
import os
import secrets
import tempfile
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WORD = 8
PAGE = mmap.PAGESIZE

BUCKETS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025,
    0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
"""Upper bounds of the histograms, in seconds: from an inline call to the longest timeouts."""

_SLOTS = len(BUCKETS) + 2
"""A histogram: one count a bucket, one above all, and the sum in nanoseconds."""

_NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class Series:
    """One time series: a metric with its label values."""

    metric: str
    labels: tuple[str, ...] = ()
    histogram: bool = False
    size: int = 1
    """Numbers that it takes, where it is no histogram: more than one are a list of their own."""

    @property
    def words(self) -> int:
        """Numbers that it takes."""
        return _SLOTS if self.histogram else self.size


@dataclass(frozen=True, slots=True)
class HistogramValue:
    """A histogram as read: counts up to each bound, cumulative, and the sum in seconds."""

    cumulative: tuple[int, ...]
    sum: float


class Layout:
    """Where each series lies in a block."""

    def __init__(self, series: Sequence[Series]) -> None:
        self.offsets: dict[Series, int] = {}
        position = 0
        for one in series:
            self.offsets[one] = position
            position += one.words
        self.words = position
        self.identity = hashlib.sha256(repr((series, BUCKETS)).encode()).digest()

    def __iter__(self) -> Iterator[Series]:
        """Every series, in order."""
        return iter(self.offsets)


class Block:
    """The numbers of one worker."""

    def __init__(self, layout: Layout, words: memoryview) -> None:
        self.words = words
        self.all: list[Block] = [self]
        """The blocks of all workers, this one among them: others may be read."""

        self._offsets = layout.offsets

    def offset(self, metric: str, *labels: str, histogram: bool = False) -> int:
        """Place of a series; look it up once, then count with `words[offset] += 1`."""
        return self._offsets[Series(metric, labels, histogram)]

    def place(self, series: Series) -> int:
        """Place of a series that is more than a counter."""
        return self._offsets[series]

    def places(self, series: Iterable[Series]) -> list[int]:
        """Places of series, or of none where the layout has not got them."""
        return [self._offsets[one] for one in series if one in self._offsets]

    def observe(self, offset: int, seconds: float, times: int = 1) -> None:
        """Add an observation, one or several times, to the histogram at an offset."""
        words = self.words
        words[offset + bisect_left(BUCKETS, seconds)] += times
        words[offset + _SLOTS - 1] += int(seconds * times * 1e9)

    def read(self, series: Series) -> int:
        """Value of a counter or gauge."""
        return int(self.words[self._offsets[series]])

    def read_histogram(self, series: Series) -> HistogramValue:
        """Value of a histogram."""
        start = self._offsets[series]
        counts = self.words[start : start + _SLOTS - 1].tolist()
        cumulative = tuple(sum(counts[: index + 1]) for index in range(len(counts)))
        return HistogramValue(cumulative, self.words[start + _SLOTS - 1] / 1e9)


class CounterFile:
    """The blocks of all workers of an engine, in one file."""

    def __init__(self, path: Path, layout: Layout, workers: int) -> None:
        """Open the file, or begin a new one where it is of another plan or worker count."""
        self.layout = layout
        block = -(-layout.words * WORD // PAGE) * PAGE
        identity = hashlib.sha256(layout.identity + workers.to_bytes(4, "big")).digest()
        size = PAGE + block * workers
        self._map = _known(path, identity, size) or _begun(path, identity, size)
        self.incarnation = self._map[len(identity) : len(identity) + _NAME_BYTES].hex()
        """Name of this file: who pulls counts knows by it whether they go on or began anew."""

        words = memoryview(self._map).cast("Q")
        step, first = block // WORD, PAGE // WORD
        self.blocks = [
            Block(layout, words[first + step * n : first + step * n + layout.words])
            for n in range(workers)
        ]
        for one in self.blocks:
            one.all = self.blocks

    def total(self, series: Series) -> int:
        """Sum of a counter over all workers."""
        return sum(block.read(series) for block in self.blocks)

    def total_histogram(self, series: Series) -> HistogramValue:
        """A histogram summed over all workers."""
        each = [block.read_histogram(series) for block in self.blocks]
        cumulative = tuple(map(sum, zip(*(one.cumulative for one in each), strict=True)))
        return HistogramValue(cumulative, sum(one.sum for one in each))


def _known(path: Path, identity: bytes, size: int) -> mmap.mmap | None:
    """Map a file that is there and has the same layout."""
    try:
        with path.open("r+b") as file:
            if os.fstat(file.fileno()).st_size == size and file.read(len(identity)) == identity:
                return mmap.mmap(file.fileno(), size)
    except FileNotFoundError:
        pass
    return None


def _begun(path: Path, identity: bytes, size: int) -> mmap.mmap:
    """Begin a file. One of another layout stays whole for an engine that still counts in it."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "r+b") as file:
        file.write(identity + secrets.token_bytes(_NAME_BYTES))
        file.truncate(size)
        file.flush()
        Path(name).replace(path)
        return mmap.mmap(file.fileno(), size)
