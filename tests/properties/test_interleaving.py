"""What holds of every list that is made of two rankings, whatever they hold."""

import math
import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
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
