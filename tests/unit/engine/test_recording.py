"""Records piece by piece: what survives a kill at any moment, what is kept, what goes."""

import io
import os
import resource
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiltyard_api.v1alpha1.conditions import ConditionReason
from tiltyard_engine.counters import Block, CounterFile, Layout
from tiltyard_engine.recording.results import KEPT, RESULTS, record_series
from tiltyard_engine.recording.segments import Position, Segment, read_batches, settle
from tiltyard_engine.recording.sending import Account, Sender, make_way
from tiltyard_engine.recording.shelves import Files, Keeping, Tally, folder_bytes
from tiltyard_engine.recording.uploads import Uploads
from tiltyard_engine.sources.base import ArtifactError

LABELS = ("p", "inferences")
SCHEMA = pa.schema({"time": pa.timestamp("us", "UTC"), "n": pa.int64()})
WRITER = "counters/engine"


@pytest.fixture
def block(tmp_path: Path) -> Block:
    return CounterFile(tmp_path / "counters", Layout([*record_series(*LABELS)]), 1).blocks[0]


def batch(*numbers: int) -> pa.RecordBatch:
    times = pa.array([0] * len(numbers), pa.int64()).cast(SCHEMA.field("time").type)
    return pa.record_batch([times, pa.array(numbers, pa.int64())], schema=SCHEMA)


def counted(block: Block) -> dict[str, int]:
    """Give every result that is not 0."""
    found = {
        name: block.words[block.offset("tiltyard_records_total", *LABELS, name)] for name in RESULTS
    }
    return {name: rows for name, rows in found.items() if rows}


def numbers(folder: Path) -> list[int]:
    """Give what is in all files, in order."""
    found = [n for path in folder.rglob("*.parquet") for n in pq.read_table(path)["n"].to_pylist()]
    for path in folder.rglob("*.arrow"):
        found += [n for one, _ in read_batches(path) for n in one["n"].to_pylist()]
    return sorted(found)


def make_files(block: Block, folder: Path, **keeping: object) -> Files:
    usual = {"period": 300.0, "stay": True, "size": 1 << 30}
    kept = Keeping(folder / "p" / "inferences", **{**usual, **keeping})
    files = Files(kept, SCHEMA, Tally(block, LABELS), WRITER)
    files.recover()
    return files


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """Let no file grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_batch_that_was_cut_off_is_no_batch(tmp_path: Path, cut: int) -> None:
    segment = Segment(tmp_path, "x", SCHEMA, time.time())
    segment.append(batch(1, 2), Position(2, {0: 1}, WRITER))
    whole = segment.size
    segment.append(batch(3), Position(3, {0: 2}, WRITER))
    os.truncate(segment.path, segment.size - cut)
    found = list(read_batches(segment.path))
    assert [(one["n"].to_pylist(), position.total) for one, position in found] == [([1, 2], 2)]
    assert found[0][1].upto == {0: 1}
    assert whole < segment.size
    made = settle(segment.path)
    assert made.suffix == ".parquet"
    assert numbers(tmp_path) == [1, 2]
    segment.close() if segment.path.exists() else None


def test_what_finds_no_room_leaves_the_file_as_it_was(tmp_path: Path, block: Block) -> None:
    files = make_files(block, tmp_path)
    with longest_file(10):
        files.put([batch(1)], {0: 1})  # not even the schema fits
    files.put([batch(2, 3)], {0: 2})
    (segment,) = tmp_path.rglob("*.arrow")
    with longest_file(segment.stat().st_size + 20):
        files.put([batch(4)], {0: 3})
    files.put([batch(5)], {0: 4})
    assert numbers(tmp_path) == [2, 3, 5]
    assert counted(block) == {"written": 3, "full": 2}
    files.close()
    assert numbers(tmp_path) == [2, 3, 5]


def test_whoever_comes_after_a_killed_recorder_knows_what_is_written(
    tmp_path: Path, block: Block
) -> None:
    first = make_files(block, tmp_path)
    first.put([batch(1, 2)], {0: 3, 1: 8})
    words = {name: block.offset(*name) for name in [(KEPT, *LABELS)]}
    block.words[words[KEPT, *LABELS]] = 0  # it was killed before it could count
    (segment,) = tmp_path.rglob("*.arrow")
    left = tmp_path / "copy"
    shutil.copytree(tmp_path / "p", left / "p")  # as the lock of a dead process leaves it
    after = make_files(block, left)
    assert (after.taken(0), after.taken(1)) == (3, 8)
    assert counted(block) == {"written": 2}
    assert numbers(left) == [1, 2]
    first.close()
    assert not segment.exists()


def test_a_file_is_closed_when_it_is_old(tmp_path: Path, block: Block) -> None:
    files = make_files(block, tmp_path)
    files.put([batch(1)], {0: 1})
    files.turn(time.time() + 10)
    assert list(tmp_path.rglob("*.arrow"))
    files.turn(time.time() + 301)
    assert not list(tmp_path.rglob("*.arrow"))
    files.put([batch(2)], {0: 2})
    files.close()
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    assert numbers(tmp_path) == [1, 2]


def test_the_oldest_files_go_when_there_are_too_many_bytes(tmp_path: Path, block: Block) -> None:
    files = make_files(block, tmp_path)
    for n in range(4):
        files.put([batch(n)], {0: n})
        files.close()
        for path in tmp_path.rglob("*.parquet"):
            os.utime(path, (path.stat().st_atime, path.stat().st_mtime - 100))
    size = max(path.stat().st_size for path in tmp_path.rglob("*.parquet"))
    bounded = make_files(block, tmp_path, size=2 * size)
    assert numbers(tmp_path) == [2, 3]
    bounded = make_files(block, tmp_path, age=150.0)
    assert numbers(tmp_path) == [3]
    bounded.close()


def test_what_waits_for_a_store_is_bounded(tmp_path: Path, block: Block) -> None:
    files = make_files(block, tmp_path, stay=False, size=2000)
    for n in range(50):
        files.put([batch(n)], {0: n})
    files.close()
    kept = numbers(tmp_path)
    assert kept == list(range(len(kept)))
    assert counted(block) == {"full": 50 - len(kept)}
    assert 0 < len(kept) < 50


def make_uploads(block: Block, folder: Path, put: object) -> Uploads:
    tallies = {"inferences": Tally(block, LABELS)}
    return Uploads(folder / "p", put, tallies)


def test_what_a_store_took_counts_once_whatever_moment_its_sender_is_killed_at(
    tmp_path: Path, block: Block
) -> None:
    files = make_files(block, tmp_path, stay=False)
    for n in range(3):
        files.put([batch(n, n)], {0: n})
        files.close()
    first, second, _ = sorted(tmp_path.rglob("*.parquet"))
    first.rename(first.with_name(f"{first.stem}.2.sent"))  # killed before it counted
    tally = Tally(block, LABELS)
    make_uploads(block, tmp_path, None).recover()
    assert tally.written == 2
    second.rename(done := second.with_name(f"{second.stem}.4.sent"))
    tally.written = 4  # killed before it removed it
    make_uploads(block, tmp_path, None).recover()
    assert tally.written == 4
    assert not done.exists()
    taken: list[str] = []
    uploads = make_uploads(block, tmp_path, lambda name, _data: taken.append(name))
    uploads.start()
    uploads.finish(20)
    assert (tally.written, len(taken)) == (6, 1)
    assert not list(tmp_path.rglob("*.parquet"))


@pytest.mark.parametrize("left", [0, 10, -4], ids=["nothing", "a beginning", "all but an end"])
def test_a_file_that_a_power_cut_has_damaged_is_in_nobodys_way(
    tmp_path: Path, block: Block, left: int
) -> None:
    files = make_files(block, tmp_path, stay=False)
    for n in range(3):
        files.put([batch(n)], {0: n})
        files.close()
    damaged, *_ = sorted(tmp_path.rglob("*.parquet"))
    damaged.write_bytes(damaged.read_bytes()[:left])
    taken: list[str] = []
    uploads = make_uploads(block, tmp_path, lambda name, _data: taken.append(name))
    uploads.start()
    uploads.finish(20)
    assert len(taken) == 2
    assert counted(block) == {"written": 2}
    assert [path.name for path in tmp_path.rglob("*.damaged")] == [f"{damaged.stem}.damaged"]


def test_a_store_that_refuses_at_first_gets_all_in_the_end(tmp_path: Path, block: Block) -> None:
    files = make_files(block, tmp_path, stay=False)
    files.put([batch(1, 2, 3)], {0: 1})
    files.close()
    attempts: list[str] = []

    def put(name: str, _data: bytes) -> None:
        attempts.append(name)
        if len(attempts) < 3:
            raise ArtifactError(ConditionReason.SOURCE_UNAVAILABLE, "it is away")

    uploads = make_uploads(block, tmp_path, put)
    uploads.start()
    uploads.finish(60)
    assert len(attempts) == 3
    assert counted(block) == {"written": 3}


def test_a_slow_store_gets_what_there_was_room_for_and_the_rest_is_counted(
    tmp_path: Path, block: Block
) -> None:
    bound, files_made = 30_000, 100
    files = make_files(block, tmp_path, stay=False, size=bound)
    turns, taken = threading.Semaphore(0), list[bytes]()

    def put(_name: str, data: bytes) -> None:
        turns.acquire()
        taken.append(data)

    uploads = make_uploads(block, tmp_path, put)
    uploads.start()
    for n in range(files_made):
        for row in range(3 * n, 3 * n + 3):
            files.put([batch(row)], {0: row})
        files.close()
        if n % 10 == 9:
            turns.release()  # it takes a tenth of what comes
        assert folder_bytes(tmp_path / "p") < bound + 10_000, (
            "the last file may be larger as Parquet"
        )
    turns.release(files_made)
    uploads.finish(60)
    kept = [n for one in taken for n in pq.read_table(io.BytesIO(one))["n"].to_pylist()]
    assert len(kept) == len(set(kept))
    assert counted(block) == {"written": len(kept), "full": 3 * files_made - len(kept)}
    assert 30 < len(kept) < 3 * files_made
    assert not list(tmp_path.rglob("*.parquet"))


def sender_of(block: Block, ring: object) -> tuple[Sender, Account]:
    account = Account(block, LABELS)
    return Sender(ring, 1, {0: account}), account


@pytest.mark.parametrize(("handed", "held"), [([5, 7], 0), ([5, 7], 3), ([], 4), ([1] * 5, 1)])
def test_what_a_sender_had_in_hand_when_it_died_is_counted(
    block: Block, handed: Sequence[int], held: int
) -> None:
    ring = make_way(1)
    sender, account = sender_of(block, ring)
    account.offered(11)
    account.crashed(11)  # of an engine before
    sender.begin()
    for rows in handed:
        account.offered(rows)
        sender.put(0, [b"x" * 8], rows)
    account.offered(held)
    for _ in range(2):  # the second finds nothing more
        after, _ = sender_of(block, ring)
        after.settle()
    assert counted(block) == {"crashed": 11 + held}


def test_a_way_that_is_full_takes_no_more_and_says_so(block: Block) -> None:
    ring = make_way(1)
    sender, account = sender_of(block, ring)
    sender.begin()
    for _ in range(1100):
        account.offered(2)
        sender.put(0, [b"x" * 8], 2)
    waiting = len(list(ring.waiting()))
    assert counted(block) == {"starved": 2200 - 2 * waiting}
    ring.done(waiting)
    account.offered(1)
    sender.put(0, [b"x" * 8], 1)
    assert account.handed == 2 * waiting + 1
