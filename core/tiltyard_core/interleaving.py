"""Team-draft interleaving: one list made of two rankings, and whose each place is.

After Radlinski, Kurup and Joachims, "How does clickthrough data reflect retrieval quality?" (CIKM
2008), with a rule for rankings that end: places beyond the shorter ranking's length credit nobody.
Up to there whoever has the turn always has an item left, so that by a fair coin each place is as
often one's as the other's, whatever the rankings hold: clicks that do not look at the items favour
neither.
"""

import hashlib
from collections.abc import Collection, Hashable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

NO_TEAM = -1
"""Team of a place that credits nobody."""

Item = TypeVar("Item", bound=Hashable)


def team_draft(
    rankings: Sequence[Sequence[Item]], length: int, draw: int
) -> tuple[list[Item], list[int]]:
    """Interleave two rankings.

    Each round, a coin says who picks first; each picks the best of its ranking that is not yet in
    the list. Items that a ranking repeats count once.

    Args:
        rankings: two, best first.
        length: most items of the list.
        draw: what the coins come from, in [0, 2^64); the same draw gives the same list.

    Returns:
        Items, and the team of each place: 0, 1 or NO_TEAM.

    """
    taken: set[Item] = set()
    left = [_unseen(ranking, taken) for ranking in rankings]
    credited = min(len(set(ranking)) for ranking in rankings)
    items: list[Item] = []
    teams: list[int] = []
    for lead in _coins(draw):
        before = len(items)
        for team in (lead, 1 - lead):
            for item in islice(left[team], min(1, length - len(items))):
                taken.add(item)
                items.append(item)
                teams.append(team if len(items) <= credited else NO_TEAM)
        if len(items) in (before, length):
            break
    return items, teams


def _unseen(ranking: Sequence[Item], taken: Collection[Item]) -> Iterator[Item]:
    """Items that are not taken at the moment when the next one is asked for."""
    return (item for item in ranking if item not in taken)


def _coins(draw: int) -> Iterator[int]:
    """Bits of SHA-256(draw, number) for number 0, 1, ...: both as 8 bytes, big endian."""
    number = 0
    while True:
        seed = draw.to_bytes(8, "big") + number.to_bytes(8, "big")
        for byte in hashlib.sha256(seed).digest():
            for place in range(8):
                yield byte >> (7 - place) & 1
        number += 1
