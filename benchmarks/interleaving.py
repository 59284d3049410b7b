"""How many clicks an interleaving needs to find the better ranker, beside a split; and no bias.

    .venv/bin/python benchmarks/interleaving.py [--visitors 40000] [--seed 1]

Simulated visitors, the real draft. Each wants some of twenty items; the rankers order them by what
visitors want plus noise, one with more of it than the other. A visitor looks down the list and
leaves after each place with a fixed probability, clicks what is wanted often and other items now
and then (after the model of Radlinski, Kurup and Joachims, CIKM 2008).

The split shows each visitor one ranker's list and compares clicks a visitor (Welch's t-test). The
interleaving shows everybody one list and compares whose places were clicked more (sign test). Both
are asked for the smallest number of visitors at which 90 % of repeated experiments, drawn anew from
the simulated visitors, find the better ranker at the level of 5 %.

Then rankers of which neither is better: whoever is preferred by more of 10,000 visitors is so by
chance alone, whether lists are short, hold an item twice, or are the same.
"""

import argparse
import random
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tiltyard_core.experiments.fixed import sign_test
from tiltyard_core.interleaving import team_draft

ITEMS, LENGTH = 20, 10
WANTED = 0.2
STAYS = 0.85
CLICKS_WANTED, CLICKS_OTHER = 0.5, 0.05
NOISE = {"a little better": (0.5, 0.6), "better": (0.5, 0.8), "much better": (0.5, 1.5)}
"""Of the better ranker and of the worse one; what is wanted stands out by 1."""

LEVEL, POWER, REPEATS = 0.05, 0.9, 500
STEP = 1.1
"""Factor between the numbers of visitors that are tried."""

Ranking = list[int]
Reals = NDArray[np.float64]

EQUAL = (0.8, 0.8)
SESSIONS = 10_000
CASES: dict[str, Callable[[Ranking, Ranking], tuple[Ranking, Ranking]]] = {
    "equally good": lambda one, other: (one, other),
    "the same ranking": lambda one, _: (one, one),
    "3 items beside 20": lambda one, other: (one[:3], other),
    "3 items beside 3": lambda one, other: (one[:3], other[:3]),
    "1 item beside none": lambda one, _: (one[:1], []),
    "each item twice beside once": lambda one, other: ([i for i in one for _ in "12"], other),
    "no item of both": lambda one, other: (
        [item for item in one if item % 2],
        [item for item in other if not item % 2],
    ),
}
"""What is made of the rankings of two rankers that are equally good."""


@dataclass(frozen=True)
class Visitor:
    """Who looks at a list."""

    wanted: frozenset[int]
    rankings: tuple[Ranking, Ranking]

    @classmethod
    def arriving(cls, chance: random.Random, noise: tuple[float, float]) -> "Visitor":
        """Draw what is wanted, and how both rankers order the items for it."""
        wanted = frozenset(item for item in range(ITEMS) if chance.random() < WANTED)

        def ranked(spread: float) -> Ranking:
            scores = [(item in wanted) + chance.gauss(0, spread) for item in range(ITEMS)]
            return sorted(range(ITEMS), key=scores.__getitem__, reverse=True)

        return cls(wanted, (ranked(noise[0]), ranked(noise[1])))

    def clicks(self, chance: random.Random, shown: Sequence[int]) -> list[int]:
        """Places that are clicked."""
        clicked = []
        for place, item in enumerate(shown):
            if chance.random() < (CLICKS_WANTED if item in self.wanted else CLICKS_OTHER):
                clicked.append(place)
            if chance.random() > STAYS:
                break
        return clicked


@dataclass(frozen=True)
class Played:
    """What visitors did, one value each."""

    alone: tuple[Reals, Reals]
    """Clicks on either ranker's own list."""

    clicks: Reals
    """On the interleaved one."""

    wins: Reals
    """Whose places of it got more clicks: 1, -1, or 0 for neither's."""


def simulate(visitors: int, noise: tuple[float, float], seed: int) -> Played:
    """Play visitors."""
    chance = random.Random(seed)
    alone, clicks, wins = np.zeros((2, visitors)), np.zeros(visitors), np.zeros(visitors)
    for number in range(visitors):
        visitor = Visitor.arriving(chance, noise)
        for ranker in (0, 1):
            shown = visitor.rankings[ranker][:LENGTH]
            alone[ranker, number] = len(visitor.clicks(chance, shown))
        clicks[number], wins[number] = preferred(chance, visitor, visitor.rankings)
    return Played((alone[0], alone[1]), clicks, wins)


def preferred(
    chance: random.Random, visitor: Visitor, rankings: tuple[Ranking, Ranking]
) -> tuple[int, int]:
    """Interleave; gives how often the visitor clicked, and whose places won."""
    items, teams = team_draft(rankings, LENGTH, chance.getrandbits(64))
    clicked = [teams[place] for place in visitor.clicks(chance, items)]
    net = clicked.count(0) - clicked.count(1)
    return len(clicked), (net > 0) - (net < 0)


def found_by_split(
    chance: np.random.Generator, better: Reals, worse: Reals, visitors: int
) -> float:
    """Share of experiments that find the better ranker when each sees half of the visitors."""
    half = (REPEATS, visitors // 2)
    one, other = chance.choice(better, half), chance.choice(worse, half)
    test = stats.ttest_ind(one, other, axis=1, equal_var=False)
    return float(np.mean((test.pvalue < LEVEL) & (test.statistic > 0)))


def found_by_interleaving(chance: np.random.Generator, wins: Reals, visitors: int) -> float:
    """Share of experiments that find the better ranker on interleaved lists."""
    won, decided = _drawn(chance, wins, visitors)
    tail = stats.binom.sf(won - 1, decided, 0.5)  # of a two-sided test, the side that is right
    return float(np.mean(2 * tail < LEVEL))


def right_winner(chance: np.random.Generator, wins: Reals, visitors: int) -> float:
    """Share of experiments in which more visitors prefer the better ranker, for sure or not."""
    won, decided = _drawn(chance, wins, visitors)
    return float(np.mean(2 * won > decided))


def _drawn(chance: np.random.Generator, wins: Reals, visitors: int) -> tuple[Reals, Reals]:
    """Repeat experiments; gives how often the better ranker won, and how often any did."""
    drawn = chance.choice(wins, (REPEATS, visitors))
    return (drawn > 0).sum(axis=1), (drawn != 0).sum(axis=1)


def needed(found: Callable[[int], float], most: int) -> int | None:
    """Fewest visitors at which enough experiments find it."""
    visitors = 20.0
    while visitors < most:
        if found(int(visitors)) >= POWER:
            return int(visitors)
        visitors *= STEP
    return None


def compare(visitors: int, seed: int) -> None:
    """Print what it takes to find the better ranker."""
    columns = ("visitors, split", "interleaving", "clicks, split", "interleaving")
    print(f"| the better ranker is | {' | '.join(columns)} | times fewer clicks | right winner |")
    print(f"|---|{'---:|' * 6}")
    for name, noise in NOISE.items():
        played = simulate(visitors, noise, seed)
        chance = np.random.default_rng(seed)
        by_split = needed(partial(found_by_split, chance, *played.alone), visitors)
        by_list = needed(partial(found_by_interleaving, chance, played.wins), visitors)
        if by_split is None or by_list is None:
            print(f"| {name} | more than {visitors} visitors are needed |", flush=True)
            continue
        clicks = by_split * np.mean(played.alone), by_list * np.mean(played.clicks)
        right = right_winner(chance, played.wins, by_list)
        told = (by_split, by_list, *map(round, clicks))
        print(
            f"| {name} | {' | '.join(f'{one:,}' for one in told)}"
            f" | {clicks[0] / clicks[1]:.1f} | {100 * right:.1f} % |",
            flush=True,
        )


def nobody_is_favoured(seed: int) -> None:
    """Print whom visitors prefer where neither ranker is better."""
    print(f"\n| {SESSIONS:,} visitors; rankings | prefer one | the other | sign test, p |")
    print("|---|---:|---:|---:|")
    for name, made in CASES.items():
        chance, found = random.Random(seed), Counter[int]()
        for _ in range(SESSIONS):
            visitor = Visitor.arriving(chance, EQUAL)
            found[preferred(chance, visitor, made(*visitor.rankings))[1]] += 1
        p = sign_test(found[1], found[-1]).p
        print(f"| {name} | {found[1]:,} | {found[-1]:,} | {p:.2f} |", flush=True)


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    compare(asked.visitors, asked.seed)
    nobody_is_favoured(asked.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
