"""Counts of several engines: nothing twice, nothing lost with an engine that is gone."""

import json
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from canaries import key_counts, request_counts
from tiltyard_api.base import canonical
from tiltyard_api.evidence import MOST_KEYS, CanaryCounts, CanaryLedger, Units
from tiltyard_api.v1alpha1.stage import Guard
from tiltyard_core.counts import MOST_INCARNATIONS, remember, total, united
from tiltyard_core.units import mixed, packed, sampled, thinned, unpacked

STAGE = "r-1"


def known(*heard: Sequence[CanaryCounts]) -> CanaryLedger:
    ledger = None
    for one in heard:
        ledger = remember(ledger, STAGE, one)
    assert ledger
    return ledger


def sums(ledger: CanaryLedger) -> tuple[int, int, int, int]:
    counts = total(ledger)
    assert counts
    stable, candidate = counts.stable, counts.candidate
    return stable.units.count, stable.errors.count, candidate.units.count, candidate.errors.count


def test_what_is_heard_twice_counts_once() -> None:
    one = request_counts(STAGE, (90, 2), (10, 1), "one")
    two = request_counts(STAGE, (40, 1), (5, 0), "two")
    assert sums(known([one, two])) == sums(known([one, two], [one], [two, one])) == (130, 3, 15, 1)


def test_a_later_word_replaces_the_one_before() -> None:
    early, late = (request_counts(STAGE, (n, 0), (n, n), "one") for n in (10, 20))
    assert sums(known([early], [late])) == (20, 0, 20, 20)
    assert sums(known([late], [early])) == (20, 0, 20, 20)  # heard late, said early


def test_an_engine_that_began_anew_is_another_one() -> None:
    first = request_counts(STAGE, (10, 0), (10, 0), "first")
    again = request_counts(STAGE, (3, 0), (3, 1), "again")
    assert sums(known([first], [again])) == (13, 0, 13, 1)


def test_an_engine_that_is_gone_still_counts() -> None:
    gone = request_counts(STAGE, (10, 1), (2, 0), "gone")
    assert sums(known([gone], [], [request_counts(STAGE, (1, 0), (1, 0))])) == (11, 1, 3, 0)
    assert sums(known([key_counts(stable=[1, 2])], [], [key_counts(stable=[2, 3])]))[0] == 3


def test_another_stage_begins_at_nothing() -> None:
    ledger = known([request_counts(STAGE, (10, 1), (2, 0))])
    assert total(remember(ledger, "r-2", [request_counts(STAGE, (11, 1), (2, 0))])) is None
    assert total(remember(None, STAGE, [])) is None
    later = remember(ledger, "r-2", [request_counts("r-2", (1, 0), (1, 0))])
    assert sums(later) == (1, 0, 1, 0)


def test_one_user_who_fails_on_every_engine_counts_once() -> None:
    engines = [
        key_counts(stable=[1], candidate=[7, 8], candidate_bad=[7], incarnation=str(n))
        for n in range(5)
    ]
    assert sums(known(engines)) == (1, 0, 2, 1)


draws = st.integers(0, 2**64 - 1)
halves = st.frozensets(st.integers(0, 40), max_size=20)


@given(st.lists(st.tuples(halves, halves), min_size=1, max_size=5), st.randoms())
def test_keys_are_united_in_any_order_and_any_number_of_times(
    engines: list[tuple[frozenset[int], frozenset[int]]], chance: Random
) -> None:
    heard = [
        key_counts(candidate=units | bad, candidate_bad=bad, incarnation=str(n))
        for n, (units, bad) in enumerate(engines)
    ]
    wanted = total(known(heard))
    shuffled = [chance.choice(heard) for _ in range(10)] + heard
    assert total(known(*([one] for one in shuffled))) == wanted


@given(st.frozensets(draws, max_size=50))
def test_sets_are_read_as_they_were_written(found: frozenset[int]) -> None:
    assert unpacked(packed(found)) == found


@pytest.mark.parametrize("text", ["?", "AAA=", "AAAA"])
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"padd|draws|base64"):
        unpacked(text)


@pytest.mark.parametrize(
    ("keys", "count", "why"),
    [
        ("?", 0, "are no base64"),
        ("AAAA", 0, "3 bytes are no 0 draws"),
        (packed([1, 2]), 3, "16 bytes are no 3 draws"),
    ],
)
def test_keys_that_are_not_as_many_as_they_say_are_refused(keys: str, count: int, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Units(count=count, keys=keys)


def test_a_sample_grows_coarser_where_it_would_not_fit() -> None:
    counts = united(
        STAGE,
        [key_counts(stable=range(n * 4000, (n + 1) * 4000), incarnation=str(n)) for n in range(4)],
    )
    kept = unpacked(counts.stable.units.keys or "")
    assert counts.level == 2
    assert len(kept) == counts.stable.units.count <= MOST_KEYS
    assert kept == {draw for draw in range(16_000) if sampled(draw, 2)}
    assert counts.stable.units.count << 2 == pytest.approx(16_000, rel=0.1)


def test_samples_of_several_levels_are_united_at_the_coarsest() -> None:
    fine = key_counts(stable=range(1000), incarnation="fine")
    coarse = key_counts(
        stable=thinned(frozenset(range(1000, 9000)), 3), level=3, incarnation="coarse"
    )
    found = united(STAGE, [fine, coarse])
    assert unpacked(found.stable.units.keys or "") == thinned(frozenset(range(9000)), 3)


@pytest.mark.parametrize("step", [1, 2**40 + 12_345, 2**52])
def test_a_sample_does_not_depend_on_how_draws_lie(step: int) -> None:
    draws = [(n * step) % 2**64 for n in range(20_000)]
    found = [draw for draw in set(draws) if sampled(draw, 2)]
    assert len(found) == pytest.approx(len(set(draws)) / 4, rel=0.1)
    assert len({mixed(draw) for draw in draws}) == len(set(draws))


def test_more_failing_users_than_fit_saturate_a_guard_for_both_variants() -> None:
    crowd = [
        key_counts(
            stable=(),
            stable_bad=range(n * 1000, n * 1000 + 900),
            incarnation=str(n),
            candidate_bad=range(10**6 + n * 1000, 10**6 + n * 1000 + 100),
        )
        for n in range(6)
    ]
    ledger = known(crowd)
    counts = total(ledger)
    assert counts
    assert counts.saturated == (Guard.ERRORS,)
    assert counts.stable.errors.count + counts.candidate.errors.count == MOST_KEYS
    assert counts.candidate.errors.count == pytest.approx(MOST_KEYS / 10, rel=0.2)
    more = key_counts(candidate_bad=range(5 * 10**6, 5 * 10**6 + 500), incarnation="more")
    after = total(remember(ledger, STAGE, [more]))
    assert after
    assert after.candidate.errors == counts.candidate.errors


def test_what_is_kept_stays_small() -> None:
    many = [request_counts(STAGE, (n, 1), (n, 1), f"{n:064d}") for n in range(1500)]
    ledger = known(many)
    assert len(ledger.known) == MOST_INCARNATIONS
    assert min(one.stable.units.count for one in ledger.known) == 500
    assert len(canonical(ledger)) < 900_000
    full = [range(n * 10**6, n * 10**6 + MOST_KEYS) for n in range(4)]
    keys = key_counts(stable=full[0], stable_bad=full[1])
    assert len(canonical(known([keys]))) < 180_000


def test_a_ledger_is_read_as_it_was_written() -> None:
    ledger = known([key_counts(stable=[1], candidate=[2], candidate_bad=[2])])
    assert CanaryLedger.model_validate(json.loads(canonical(ledger))) == ledger
