import contextlib
import os
import random

from hypothesis import given
from hypothesis import strategies as st

from tiltyard_engine import ring as module
from tiltyard_engine.ring import RING_BYTES, SLOTS, Ring

LENGTHS = st.integers(0, 64) | st.sampled_from([RING_BYTES // 3, RING_BYTES // 2, RING_BYTES])


@given(st.lists(st.one_of(st.none(), st.lists(LENGTHS, min_size=1, max_size=3)), max_size=60))
def test_what_is_taken_comes_out_whole_and_in_order(steps: list[list[int] | None]) -> None:
    ring = Ring()
    waiting: list[list[bytes]] = []
    for number, step in enumerate(steps):
        if step is None:
            expect(ring, waiting)
            continue
        mark = number.to_bytes(1, "big")
        pieces = [mark * min(length, 64) + bytes(max(length - 64, 0)) for length in step]
        if ring.put(pieces):
            waiting.append(pieces)
        else:
            assert waiting or sum(step) > RING_BYTES - 24, "an empty ring takes what fits at all"
    while waiting:
        expect(ring, waiting)
    assert ring.get() is None


def expect(ring: Ring, waiting: list[list[bytes]]) -> None:
    record = ring.get()
    if not waiting:
        assert record is None
        return
    assert record is not None
    position = 0
    for piece in waiting.pop(0):
        assert record[position : position + len(piece)] == piece
        position += -(-len(piece) // module.ALIGNMENT) * module.ALIGNMENT
    assert len(record) == position
    ring.done()


def test_a_full_ring_takes_nothing_more_and_loses_nothing() -> None:
    ring = Ring()
    taken = [number for number in range(SLOTS + 5) if ring.put([number.to_bytes(8, "big")])]
    assert taken == list(range(SLOTS))
    waiting = [[number.to_bytes(8, "big")] for number in taken]
    while waiting:
        expect(ring, waiting)
    assert ring.put([b"again"])


def test_records_cross_from_one_process_to_another_as_they_are() -> None:
    ring, chance = Ring(), random.Random(1)
    sent = [chance.randbytes(chance.randrange(2000)) for _ in range(5000)]
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            for data in sent:
                while not ring.put([data]):
                    os.sched_yield()
            os.write(writer, b".")
        os._exit(0)
    got = []
    while len(got) < len(sent):
        ring.sleep(1.0)
        while (record := ring.get()) is not None:
            got.append(bytes(record))
            ring.done()
    assert os.read(reader, 1) == b"."
    os.waitpid(child, 0)
    assert [data[: len(want)] for data, want in zip(got, sent, strict=True)] == sent
