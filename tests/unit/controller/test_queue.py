"""Which key is next: one at a time, nothing lost, pauses that grow, the server's wishes kept."""

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tiltyard_operator.kinds import PIPELINE
from tiltyard_operator.queue import FIRST_PAUSE, LONGEST_PAUSE, Key, Lane, Queue, Schedule

A, B, C = (Key(PIPELINE, "default", name) for name in "abc")


def schedule(chance: float = 0.999_999) -> Schedule:
    return Schedule(lambda: chance)


def taken(work: Schedule, now: float) -> list[Key]:
    keys = []
    while (key := work.take(now)) is not None:
        keys.append(key)
    return keys


def test_keys_come_in_the_order_in_which_they_were_added_each_once() -> None:
    work = schedule()
    for key in (B, A, B, C, A):
        work.add(key, Lane.PROMPT, 0)
    assert work.waiting() == 3
    assert taken(work, 0) == [B, A, C]


def test_what_somebody_changed_comes_before_what_a_listing_found() -> None:
    work = schedule()
    work.add(A, Lane.PATIENT, 0)
    work.add(B, Lane.PATIENT, 0)
    work.add(C, Lane.PROMPT, 0)
    work.add(B, Lane.PROMPT, 0)
    work.add(C, Lane.PATIENT, 0)
    assert taken(work, 0) == [C, B, A]


def test_second_looks_wait_behind_those_who_had_none() -> None:
    work = schedule()
    work.add(A, Lane.PATIENT, 0)
    work.take(0)
    work.add(B, Lane.PATIENT, 0)
    work.done(A, 0, again_in=1)
    work.add(C, Lane.PATIENT, 0)
    assert taken(work, 2) == [B, C, A]


def test_a_key_is_never_given_to_two_and_comes_again_where_it_changed_meanwhile() -> None:
    work = schedule()
    work.add(A, Lane.PROMPT, 0)
    assert work.take(0) == A
    for _ in range(1000):
        work.add(A, Lane.PROMPT, 1)
    assert work.take(1) is None
    work.done(A, 2, None)
    assert work.take(2) == A
    work.done(A, 3, None)
    assert work.take(1e9) is None


def test_a_key_comes_again_when_its_time_has_come_and_not_before() -> None:
    work = schedule()
    work.add(A, Lane.PROMPT, 0)
    work.take(0)
    work.done(A, 10, again_in=2)
    assert work.next_due() == 12
    assert taken(work, 11.9) == []
    assert taken(work, 12) == [A]


def test_the_earlier_of_two_times_counts_and_a_change_counts_more() -> None:
    work = schedule()
    work.add_at(A, 30)
    work.add_at(A, 10)
    work.add_at(A, 20)
    work.add_at(B, 50)
    work.add(B, Lane.PROMPT, 0)
    assert taken(work, 0) == [B]
    assert taken(work, 10) == [A]
    work.done(A, 11, None)
    work.done(B, 11, None)
    assert taken(work, 1e9) == []


def test_a_time_that_was_set_while_the_key_ran_is_kept() -> None:
    work = schedule()
    work.add(A, Lane.PROMPT, 0)
    work.take(0)
    work.add_at(A, 5)
    work.done(A, 6, again_in=100)
    assert taken(work, 6) == [A]


@pytest.mark.parametrize(("chance", "share"), [(0.0, 0.5), (0.5, 0.75), (1.0, 1.0)])
def test_pauses_double_up_to_the_longest_and_start_over_after_a_success(
    chance: float, share: float
) -> None:
    work = schedule(chance)
    work.add(A, Lane.PROMPT, 0)
    now, pauses = 0.0, []
    for _ in range(12):
        assert work.take(now) == A
        work.failed(A, now, None)
        due = work.next_due()
        assert due is not None
        pauses.append((due - now) / share)
        now = due
    doubled = [min(FIRST_PAUSE * 2**attempt, LONGEST_PAUSE) for attempt in range(12)]
    assert pauses == pytest.approx(doubled)
    assert work.take(now) == A
    work.done(A, now, None)
    work.add(A, Lane.PROMPT, now)
    work.take(now)
    work.failed(A, now, None)
    assert work.next_due() == pytest.approx(now + FIRST_PAUSE * share)


def test_a_change_need_not_wait_for_the_pause() -> None:
    work = schedule()
    work.add(A, Lane.PROMPT, 0)
    work.take(0)
    work.failed(A, 0, None)
    work.add(A, Lane.PROMPT, 0.01)
    assert work.take(0.01) == A


def test_nothing_comes_before_the_time_that_the_server_asked_for() -> None:
    work = schedule()
    work.add(A, Lane.PROMPT, 0)
    work.take(0)
    work.add(A, Lane.PROMPT, 1)
    work.failed(A, 2, retry_after=30)
    work.add(A, Lane.PROMPT, 3)
    work.add_at(A, 4)
    assert taken(work, 31.9) == []
    assert taken(work, 32) == [A]
    work.done(A, 33, None)
    work.add(A, Lane.PROMPT, 33)
    assert taken(work, 33) == [A]


def test_objects_that_are_gone_leave_nothing_behind() -> None:
    work = schedule()
    for number in range(1000):
        key = Key(PIPELINE, "default", str(number))
        work.add_at(key, 5)
        work.add(key, Lane.PATIENT, 0)
        work.take(0)
        work.done(key, 1, None)
    assert taken(work, 1e9) == []
    assert work._entries == {}
    assert work._later == []


class Life(RuleBasedStateMachine):
    """Anything may happen in any order: nothing is lost, nothing runs twice at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.work = Schedule(lambda: 0.5)
        self.running: set[Key] = set()
        self.owed: set[Key] = set()
        """Keys that changed after they were last taken: each must come again."""

    keys = st.sampled_from([A, B, C])

    @rule(key=keys, lane=st.sampled_from(Lane))
    def add(self, key: Key, lane: Lane) -> None:
        self.work.add(key, lane, self.now)
        self.owed.add(key)

    @rule(key=keys, seconds=st.floats(0, 50))
    def add_at(self, key: Key, seconds: float) -> None:
        self.work.add_at(key, self.now + seconds)
        self.owed.add(key)

    @rule(seconds=st.floats(0, 40))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def take(self) -> None:
        key = self.work.take(self.now)
        if key is not None:
            assert key not in self.running
            self.running.add(key)
            self.owed.discard(key)

    @precondition(lambda self: self.running)
    @rule(again_in=st.none() | st.floats(0, 50), data=st.data())
    def done(self, again_in: float | None, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running, key=str)))
        self.running.discard(key)
        self.work.done(key, self.now, again_in)
        if again_in is not None:
            self.owed.add(key)

    @precondition(lambda self: self.running)
    @rule(retry_after=st.none() | st.floats(0, 50), data=st.data())
    def fail(self, retry_after: float | None, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.running, key=str)))
        self.running.discard(key)
        self.work.failed(key, self.now, retry_after)
        self.owed.add(key)

    @invariant()
    def what_is_owed_comes(self) -> None:
        waiting = {key for lane in self.work._lanes.values() for key in lane}
        due = {key for _, _, key in self.work._later}
        dirty = {key for key, entry in self.work._entries.items() if entry.dirty is not None}
        assert self.owed <= waiting | due | dirty


TestLife = Life.TestCase


@given(st.lists(st.sampled_from([A, B, C]), max_size=50))
def test_threads_get_every_key_and_each_key_runs_alone(keys: list[Key]) -> None:
    queue, seen = Queue(), set[Key]()
    alone = {key: threading.Lock() for key in (A, B, C)}

    def work() -> None:
        while (key := queue.take()) is not None:
            assert alone[key].acquire(blocking=False)
            seen.add(key)
            alone[key].release()
            queue.done(key, None)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for key in keys:
        queue.add(key)
    deadline = time.monotonic() + 10
    while seen != set(keys) and time.monotonic() < deadline:
        threading.Event().wait(0.001)
    queue.close()
    for thread in threads:
        thread.join(10)
    assert seen == set(keys)


def test_a_thread_that_waits_is_woken_by_a_time_that_comes() -> None:
    queue = Queue()
    started = time.monotonic()
    queue.add_in(A, 0.05)
    assert queue.take() == A
    assert 0.05 <= time.monotonic() - started < 60
