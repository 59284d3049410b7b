"""How many visitors an interleaving needs to find the better ranker, beside a split.

    .venv/bin/python benchmarks/interleaving.py [--visitors 40000] [--seed 1]

Simulated visitors, the real draft. Each wants some of twenty items; the rankers order them by what
visitors want plus noise, one with more of it than the other. A visitor looks down the list and
leaves after each place with a fixed probability, clicks what is wanted often and other items now
and then (after the model of Radlinski, Kurup and Joachims, CIKM 2008).

The split shows each visitor one ranker's list and compares clicks a visitor (Welch's t-test). The
interleaving shows everybody one list and compares whose places were clicked more (sign test). Both
are asked for the smallest number of visitors at which 90 % of repeated experiments, drawn anew from
the simulated visitors, find the better ranker at the level of 5 %.
"""

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

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


def simulate(
    visitors: int, noise: tuple[float, float], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Play visitors: clicks on either ranker's own list, and who won the interleaved one."""
    chance = random.Random(seed)
    alone = np.zeros((2, visitors))
    wins = np.zeros(visitors)
    for number in range(visitors):
        visitor = Visitor.arriving(chance, noise)
        for ranker in (0, 1):
            shown = visitor.rankings[ranker][:LENGTH]
            alone[ranker, number] = len(visitor.clicks(chance, shown))
        items, teams = team_draft(visitor.rankings, LENGTH, chance.getrandbits(64))
        clicked = [teams[place] for place in visitor.clicks(chance, items)]
        wins[number] = np.sign(clicked.count(0) - clicked.count(1))
    return alone[0], alone[1], wins


def found_by_split(
    chance: np.random.Generator, better: np.ndarray, worse: np.ndarray, visitors: int
) -> float:
    """Share of experiments that find the better ranker when each sees half of the visitors."""
    half = (REPEATS, visitors // 2)
    one, other = chance.choice(better, half), chance.choice(worse, half)
    test = stats.ttest_ind(one, other, axis=1, equal_var=False)
    return float(np.mean((test.pvalue < LEVEL) & (test.statistic > 0)))


def found_by_interleaving(chance: np.random.Generator, wins: np.ndarray, visitors: int) -> float:
    """Share of experiments that find the better ranker on interleaved lists."""
    drawn = chance.choice(wins, (REPEATS, visitors))
    won, decided = (drawn > 0).sum(axis=1), (drawn != 0).sum(axis=1)
    tail = stats.binom.sf(won - 1, decided, 0.5)  # of a two-sided test, the side that is right
    return float(np.mean(2 * tail < LEVEL))


def needed(found: Callable[[int], float], most: int) -> int | None:
    """Fewest visitors at which enough experiments find it."""
    visitors = 20.0
    while visitors < most:
        if found(int(visitors)) >= POWER:
            return int(visitors)
        visitors *= STEP
    return None


def main() -> int:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--visitors", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(f"{'the better ranker is':<22}{'split':>10}{'interleaving':>14}{'times fewer':>13}")
    for name, noise in NOISE.items():
        better, worse, wins = simulate(asked.visitors, noise, asked.seed)
        chance = np.random.default_rng(asked.seed)
        by_split = needed(
            lambda n, b=better, w=worse, c=chance: found_by_split(c, b, w, n),
            asked.visitors,
        )
        by_list = needed(
            lambda n, w=wins, c=chance: found_by_interleaving(c, w, n),
            asked.visitors,
        )
        ratio = f"{by_split / by_list:.1f}" if by_split and by_list else "-"
        most = f"> {asked.visitors}"
        print(f"{name:<22}{by_split or most:>10}{by_list or most:>14}{ratio:>13}")
    _, _, wins = simulate(asked.visitors, (0.8, 0.8), asked.seed)
    won, lost = int((wins > 0).sum()), int((wins < 0).sum())
    p = stats.binomtest(won, won + lost).pvalue
    print(f"equal rankers: {won} visitors preferred one, {lost} the other (sign test p {p:.2f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
