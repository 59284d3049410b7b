"""Inference ids: what goes in comes out, and nothing that was tampered with is believed."""

import base64
import string
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard_core.tokens import (
    LENGTH,
    MOST_ROWS,
    ONE_ROW,
    ROWS_APART,
    UNASSIGNED,
    Signer,
    Token,
    WrongToken,
    key_of,
    pipeline_tag,
    read,
)

UID = "5b1c"
TAG = pipeline_tag(UID)
SIGNER = Signer(key_of(UID, b"secret"))
TOKEN = Token(0, TAG, b"expe", 1, 1, 1_700_000_000, b"stra", 2**63 + 5, 77, 0.25)

tokens = st.builds(
    Token,
    marks=st.integers(0, UNASSIGNED | ROWS_APART | ONE_ROW),
    pipeline=st.just(TAG),
    experiment=st.binary(min_size=4, max_size=4),
    variant=st.integers(0, 15),
    rows=st.integers(1, MOST_ROWS),
    time=st.integers(0, 2**32 - 1),
    stratum=st.binary(min_size=4, max_size=4),
    unit=st.integers(0, 2**64 - 1),
    number=st.integers(0, 2**64 - 1),
    score=st.floats(width=32, allow_nan=False),
    places=st.lists(st.integers(0, 1), max_size=1000),
)


@given(tokens)
def test_an_id_says_what_was_put_into_it(token: Token) -> None:
    text = SIGNER.sign(token)
    found = read(text, {TAG: [SIGNER]})
    assert found == token._replace(places=found.places)
    assert list(found.places) == list(token.places)
    assert set(text) <= set(string.ascii_letters + string.digits + "-_")


def test_an_id_has_64_characters_and_the_longest_list_234() -> None:
    assert len(SIGNER.sign(TOKEN)) == LENGTH == 64
    assert len(SIGNER.sign(TOKEN._replace(places=[0, 1] * 5))) == 70
    assert len(SIGNER.sign(TOKEN._replace(places=[1] * 1000))) == 234


def test_an_id_of_which_any_character_is_another_is_not_believed() -> None:
    text = SIGNER.sign(TOKEN)
    for place, letter in enumerate(text):
        other = "A" if letter != "A" else "B"
        changed = text[:place] + other + text[place + 1 :]
        with pytest.raises((WrongToken, ValueError, KeyError)):
            read(changed, {TAG: [SIGNER]})


@pytest.mark.parametrize(
    "text", ["", "x", "x" * 63, "!" * 64, "a" * 64, "é" * 64, "x" * 65, "x" * 400, "\x00" * 64]
)
def test_what_is_no_id_is_told_apart_from_one_that_is_wrong(text: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - its class is what counts
        read(text, {TAG: [SIGNER]})
    assert not isinstance(refused.value, WrongToken)


def test_the_id_of_another_pipeline_is_unknown() -> None:
    with pytest.raises(KeyError):
        read(SIGNER.sign(TOKEN._replace(pipeline=pipeline_tag("other"))), {TAG: [SIGNER]})


@pytest.mark.parametrize(
    "key", [key_of(UID), key_of(UID, b"other"), key_of("other", b"secret")], ids=str
)
def test_another_key_signs_what_nobody_believes(key: bytes) -> None:
    with pytest.raises(WrongToken):
        read(Signer(key).sign(TOKEN), {TAG: [SIGNER]})


def test_every_key_of_a_pipeline_is_believed() -> None:
    old = Signer(key_of(UID, b"yesterday's"))
    assert read(old.sign(TOKEN), {TAG: [SIGNER, old]}).number == TOKEN.number


def test_a_forged_id_that_claims_many_places_costs_no_more_than_another() -> None:
    longest = SIGNER.sign(TOKEN._replace(places=[1] * 1000))
    whole = bytearray(base64.urlsafe_b64decode(longest + "=="))
    at = (LENGTH * 3 // 4) - 8  # behind the fields: how many places there are
    whole[at : at + 2] = b"\xff\xff"
    forged = base64.urlsafe_b64encode(whole).rstrip(b"=").decode()
    tracemalloc.start()
    try:
        with pytest.raises(WrongToken):
            read(forged, {TAG: [SIGNER]})
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 32_768  # 65,535 places would take half a megabyte, and milliseconds
