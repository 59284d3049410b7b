"""What must hold for every file: it is looked into or refused, and nothing else happens."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

import graphs
from tiltyard_engine.onnxfile import NotOnnx, look_into

models = st.sampled_from(sorted(graphs.BY_NAME.values()))


def looked(data: bytes) -> None:
    with contextlib.suppress(NotOnnx):
        look_into(data)


@given(models, st.data())
def test_no_changed_bytes_break_the_reader(model: bytes, data: st.DataObject) -> None:
    changed = bytearray(model)
    for _ in range(data.draw(st.integers(1, 8))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    looked(bytes(changed))


@given(models, st.data())
def test_no_cut_or_grown_file_breaks_the_reader(model: bytes, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(model)))
    looked(model[:place] + data.draw(st.binary(max_size=20)) + model[place + 3 :])


@given(st.binary(max_size=200))
def test_no_bytes_break_the_reader(data: bytes) -> None:
    looked(data)
    looked(b"\x3a" + bytes([len(data) & 127]) + data)
