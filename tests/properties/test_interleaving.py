"""What holds of every list that is made of two rankings, whatever they hold."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiltyard_core.experiments.fixed import sign_test
from tiltyard_core.interleaving import NO_TEAM, team_draft

ITEMS = st.integers(0, 12) | st.text("abc", max_size=2)
RANKINGS = st.tuples(st.lists(ITEMS, max_size=12), st.lists(ITEMS, max_size=12))
DRAWS = st.integers(0, 2**64 - 1)


@given(RANKINGS, st.integers(1, 20), DRAWS)
def test_every_item_stands_once_until_the_list_is_full(
    rankings: tuple[list[object], list[object]], length: int, draw: int
) -> None:
    items, teams = team_draft(rankings, length, draw)
    assert len(items) == len(set(items)) == len(teams)
    assert len(items) == min(length, len({*rankings[0], *rankings[1]}))


@given(RANKINGS, st.integers(1, 20), DRAWS)
def test_each_place_is_the_best_that_its_team_had_left(
    rankings: tuple[list[object], list[object]], length: int, draw: int
) -> None:
    items, teams = team_draft(rankings, length, draw)
    for place, (item, team) in enumerate(zip(items, teams, strict=True)):
        if team != NO_TEAM:
            left = [one for one in rankings[team] if one not in items[:place]]
            assert item == left[0]


@given(RANKINGS, st.integers(1, 20), DRAWS)
def test_teams_take_turns_in_rounds_up_to_the_shorter_ranking(
    rankings: tuple[list[object], list[object]], length: int, draw: int
) -> None:
    _, teams = team_draft(rankings, length, draw)
    credited = min(len(teams), *(len(set(ranking)) for ranking in rankings))
    assert NO_TEAM not in teams[:credited]
    assert set(teams[credited:]) <= {NO_TEAM}
    for first in range(0, credited - 1, 2):
        assert sorted(teams[first : first + 2]) == [0, 1]


LISTS = pytest.mark.parametrize(
    ("rankings", "length"),
    [
        (("abcdefghij", "jihgfedcba"), 10),
        (("abcdefghij", "abcdefghij"), 7),
        (("a", "abcdef"), 6),
        (("xyz", "xwy"), 10),
        (("abcdefgh", "bacdx"), 7),
        (("aab", "cd"), 10),
    ],
)


@LISTS
def test_a_place_is_as_often_one_rankers_as_the_others(
    rankings: tuple[Sequence[str], Sequence[str]], length: int
) -> None:
    chance = random.Random(7)
    sessions = 10_000
    first = Counter[int]()
    credited = Counter[int]()
    for _ in range(sessions):
        _, teams = team_draft(rankings, length, chance.getrandbits(64))
        first.update(place for place, team in enumerate(teams) if team == 0)
        credited.update(place for place, team in enumerate(teams) if team != NO_TEAM)
    assert set(credited.values()) == {sessions}  # the coin never decides whether a place counts
    for place in credited:
        assert abs(first[place] - sessions / 2) < 4 * math.sqrt(sessions) / 2


def preferred(
    rankings: tuple[Sequence[str], Sequence[str]], length: int, wanted: str, sessions: int
) -> Counter[int]:
    """Whose places more visitors clicked; they leave after each place with a probability of 0.3."""
    chance, found = random.Random(11), Counter[int]()
    for _ in range(sessions):
        items, teams = team_draft(rankings, length, chance.getrandbits(64))
        net = 0
        for item, team in zip(items, teams, strict=True):
            if item in wanted and chance.random() < 0.5:
                net += (team == 0) - (team == 1)
            if chance.random() < 0.3:
                break
        found[(net > 0) - (net < 0)] += 1
    return found


@LISTS
def test_visitors_who_do_not_look_at_the_items_prefer_neither(
    rankings: tuple[Sequence[str], Sequence[str]], length: int
) -> None:
    found = preferred(rankings, length, "abcdefghijxyzw", 10_000)
    assert found[1] + found[-1] > 2000
    assert sign_test(found[1], found[-1]).p > 0.01


@pytest.mark.parametrize(
    ("rankings", "better"),
    [
        (("abcdefghij", "jihgfedcba"), 1),
        (("jihgfedcba", "abcdefghij"), -1),
        (("dabce", "abcde"), -1),
        (("abc", "jabcihgfed"), 1),  # fewer items are no worse
        (("ja", "abcdefghij"), -1),
        (("aaabc", "jja"), 1),
    ],
)
def test_who_ranks_what_is_wanted_higher_is_preferred(
    rankings: tuple[Sequence[str], Sequence[str]], better: int
) -> None:
    found = preferred(rankings, 10, "abc", 4000)
    assert found[better] > found[-better]
    assert sign_test(found[1], found[-1]).p < 1e-6
