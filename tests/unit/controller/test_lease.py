"""Who may write: one at a time, by each looker's own clock."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard_operator.lease import DURATION, HELD_FOR, RENEW_EVERY, Sight, bid, released

STAMP = "2026-01-01T00:00:00.000000Z"


def lease(holder: str | None, duration: int | None = DURATION) -> dict[str, Any]:
    spec = {"holderIdentity": holder, "leaseDurationSeconds": duration, "leaseTransitions": 4}
    return {"metadata": {"resourceVersion": "7"}, "spec": {k: v for k, v in spec.items() if v}}


@pytest.mark.parametrize(
    ("holder", "unchanged_for", "mine"),
    [
        (None, 0, True),
        ("", 0, True),
        ("me", 0, True),
        ("me", 1000, True),
        ("other", 0, False),
        ("other", DURATION, False),
        ("other", DURATION + 0.1, True),
    ],
)
def test_a_lease_is_taken_where_it_is_nobodys_mine_or_run_out(
    holder: str | None, unchanged_for: float, *, mine: bool
) -> None:
    wanted = bid(lease(holder), "me", Sight("7", 100), 100 + unchanged_for, STAMP)
    assert (wanted is not None) is mine
    if wanted:
        assert wanted["spec"]["holderIdentity"] == "me"
        assert wanted["spec"]["renewTime"] == STAMP
        assert wanted["metadata"]["resourceVersion"] == "7"


def test_a_change_of_the_holder_is_counted_and_a_renewal_is_not() -> None:
    taken = bid(lease("other"), "me", Sight("7", 0), 100, STAMP)
    assert taken is not None
    assert taken["spec"]["leaseTransitions"] == 5
    assert taken["spec"]["acquireTime"] == STAMP
    renewed = bid(taken, "me", Sight("7", 0), 100, "later")
    assert renewed is not None
    assert renewed["spec"] == taken["spec"] | {"renewTime": "later"}


def test_a_lease_that_was_given_back_is_anybodys_at_once() -> None:
    assert bid(released(lease("other")), "me", Sight("7", 0), 0, STAMP) is not None


@pytest.mark.parametrize("spec", [None, {}, {"holderIdentity": None}])
def test_a_lease_that_says_nothing_is_taken(spec: object) -> None:
    assert bid({"metadata": {}, "spec": spec}, "me", Sight("", 0), 0, STAMP) is not None


@given(
    turns=st.lists(st.tuples(st.sampled_from(["renews", "looks"]), st.floats(0, 20))),
    skew=st.floats(-1e6, 1e6),
)
def test_nobody_takes_a_lease_while_its_holder_may_write(
    turns: list[tuple[str, float]], skew: float
) -> None:
    """The other's clock has nothing to do with the holder's, and both may pause at any time."""
    now, version, held_until = 0.0, 0, HELD_FOR
    sight = Sight("", skew)
    for who, pause in turns:
        now += pause
        if who == "renews":
            version, held_until = version + 1, now + HELD_FOR
            continue
        if sight.version != str(version):
            sight = Sight(str(version), now + skew)
        if bid(lease("holder"), "other", sight, now + skew, STAMP):
            assert now >= held_until
            return


def test_two_renewals_fit_into_the_time_for_which_it_is_held() -> None:
    assert 2 * 1.2 * RENEW_EVERY < HELD_FOR < DURATION
