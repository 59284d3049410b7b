"""What feedback may cost before anything is known of it: depth and number are bounded first."""

import tracemalloc

import pytest

from tiltyard_api.reasons import Reason
from tiltyard_engine.errors import Refusal
from tiltyard_engine.faces.feedback import MOST, FeedbackFace


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"inferenceId": "a", "metric": "b", "value": ' + b"[" * 100_000,
        b'[{"inferenceId": "a", "metric": "b", "value": ' + b'{"a":' * 100_000,
        b"[0, " + b"[" * 100_000,
    ],
    ids=["list", "value", "value in a list", "beside what is no feedback"],
)
def test_feedback_that_is_nested_too_deep_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        FeedbackFace(None)._read(body)
    assert refused.value.reason is Reason.BODY_TOO_DEEP


@pytest.mark.parametrize("piece", [b"0", b"{}", b'{"inferenceId":"","metric":"","value":0}'])
def test_a_list_that_is_too_long_is_refused_before_its_pieces_are_judged(piece: bytes) -> None:
    body = b"[" + b",".join([piece] * 3 * MOST) + b"]"
    face = FeedbackFace(None)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal) as refused:
            face._read(body)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refused.value.reason is Reason.TOO_MANY_ROWS
    assert most < 300 * 3 * MOST  # bytes; a refusal of each piece takes more


def test_as_many_as_may_be_are_read_and_those_of_another_form_told_apart() -> None:
    good = b'{"inferenceId":"","metric":"","value":0}'
    alone, many = FeedbackFace(None)._read(b"[0," + b",".join([good] * (MOST - 1)) + b"]")
    assert (alone, len(many)) == (False, MOST)
    assert [isinstance(one, Refusal) for one in many[:3]] == [True, False, False]
