"""How often experiments are wrong, and how soon they are right: `benchmarks/experiments.py`.

    .venv/bin/python benchmarks/experiments.py [--experiments 10000] [--only means labels]

Simulated experiments, each looked at after every event. `tests/support/manylooks.py` computes what
the project computes, for many experiments at once; `tests/unit/core/experiments` holds the two
against each other. Bounds are those of Clopper and Pearson, one-sided at 99 %.
"""

import argparse
import sys
import time
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests/support")]

from manylooks import (  # noqa: E402 - the path has to be set first
    AT_ONCE,
    Crowd,
    Setting,
    binary,
    clustered,
    looks,
    ratio,
    values,
    visits,
)
from scored import held  # noqa: E402 - likewise
from tiltyard_core.experiments.ratios import RATIO_ALPHA  # noqa: E402 - likewise

ALPHA = 0.05
LIMIT = log(1 / ALPHA)
LEAST = 100
"""Units of each variant before anybody looks, where a test needs that."""

BOUNDS = ("at least", "at most")

Found = NDArray[np.bool_]
Drawing = Callable[[np.random.Generator, tuple[int, int]], NDArray[np.float64]]
VALUES: dict[str, tuple[float, Drawing]] = {
    "normal values": (0.0, lambda chance, size: chance.normal(0, 1, size)),
    "exponential values": (1.0, lambda chance, size: chance.exponential(1, size)),
    "counts (Poisson, 0.3)": (0.3, lambda chance, size: chance.poisson(0.3, size).astype(float)),
}
"""Their mean, and how they are drawn."""


def ever(setting: Setting, experiments: int, seed: int, difference: float = 0.0) -> Found:
    """Tell of each experiment whether a difference was ever rejected."""
    chance = np.random.default_rng(seed)
    parts = [
        (binary(counts, setting.share, difference) >= LIMIT).any(axis=1)
        for counts in looks(setting, experiments, chance)
    ]
    return np.concatenate(parts)


def ever_blocked(setting: Setting, experiments: int, seed: int) -> Found:
    """Tell of each experiment whether its split was ever found to be uneven."""
    chance = np.random.default_rng(seed)
    limit, parts = log(2 / RATIO_ALPHA), []
    for counts in looks(setting, experiments, chance):
        sizes = [counts[..., :2].sum(axis=-1), counts[..., 2:].sum(axis=-1)]
        parts.append((ratio(sizes, (1 - setting.share, setting.share)) >= limit).any(axis=1))
    return np.concatenate(parts)


def ever_values(name: str, experiments: int, seed: int, factor: float = 1.0) -> Found:
    """Tell of each experiment on values whether their true difference was ever rejected.

    Args:
        name: of what they are drawn from.
        experiments: how many.
        seed: of chance.
        factor: by which values of the variant are larger.

    """
    chance, parts = np.random.default_rng(seed), []
    mean, draw = VALUES[name]
    for done in range(0, experiments, AT_ONCE):
        size = (min(AT_ONCE, experiments - done), 2000)
        variant, value = chance.random(size) < 0.5, draw(chance, size)
        value, true = np.where(variant, factor, 1.0) * value, (factor - 1) * mean
        parts.append((values(variant, value, ALPHA, LEAST, true) >= LIMIT).any(axis=1))
    return np.concatenate(parts)


def z_test_ever(setting: Setting, experiments: int, seed: int) -> Found:
    """Tell of each experiment whether a z-test that is repeated after every event ever fires."""
    chance = np.random.default_rng(seed)
    parts = [
        (_z(counts) < ALPHA)[:, LEAST:].any(axis=1)
        for counts in looks(setting, experiments, chance)
    ]
    return np.concatenate(parts)


def _z(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """P-values of the two-proportion z-test."""
    sizes = np.maximum(1, np.stack([counts[..., :2].sum(axis=-1), counts[..., 2:].sum(axis=-1)]))
    yes = np.stack([counts[..., 1], counts[..., 3]])
    rate = yes.sum(axis=0) / sizes.sum(axis=0)
    error = np.sqrt(np.maximum(1e-300, rate * (1 - rate) * (1 / sizes).sum(axis=0)))
    found: NDArray[np.float64] = 2 * stats.norm.sf(
        abs(yes[1] / sizes[1] - yes[0] / sizes[0]) / error
    )
    return found


def head(*columns: str) -> None:
    """Print the head of a table."""
    print(f"\n| {' | '.join(columns)} |\n|---|{'---:|' * (len(columns) - 1)}")


def told(name: str, found: Found) -> None:
    """Print a share with its bounds."""
    yes, count = int(found.sum()), len(found)
    low = stats.beta.ppf(0.01, yes, count - yes + 1) if yes else 0.0
    high = stats.beta.ppf(0.99, yes + 1, count - yes) if yes < count else 1.0
    print(
        f"| {name:58} | {100 * yes / count:7.2f} % | {100 * low:6.2f} | {100 * high:6.2f} |",
        flush=True,
    )


def false_verdicts(experiments: int, seed: int) -> None:
    """Print how often a difference is found where there is none."""
    head(f"A/A, {experiments} experiments, a look after each event", "ever found", *BOUNDS)
    for rate in (0.02, 0.1, 0.5):
        setting = Setting(rate, rate)
        told(f"rate {rate:g}, 2,000 events", ever(setting, experiments, seed))
    told("rate 0.1, share 10 %", ever(Setting(0.1, 0.1, share=0.1), experiments, seed))
    for name in VALUES:
        told(f"{name}, from {LEAST} a variant on", ever_values(name, experiments, seed))
    told(
        "rate 0.1, by a z-test that is repeated", z_test_ever(Setting(0.1, 0.1), experiments, seed)
    )


def coverage(experiments: int, seed: int) -> None:
    """Print how often intervals hold the true difference at all times."""
    head(f"A/B, {experiments} experiments of 2,000 events", "holds always", *BOUNDS)
    for control, variant, share in (
        (0.1, 0.12, 0.5),
        (0.1, 0.2, 0.5),
        (0.5, 0.45, 0.5),
        (0.02, 0.05, 0.2),
    ):
        setting = Setting(control, variant, share)
        missed = ever(setting, experiments, seed, variant - control)
        told(f"{control:g} and {variant:g}, share {share:g}", ~missed)


def coverage_of_means(experiments: int, seed: int) -> None:
    """Print how often intervals of means hold the true difference at all times."""
    title = f"means, {experiments} experiments of 2,000 events, from {LEAST} a variant on"
    head(title, "holds always", *BOUNDS)
    for name, (mean, _) in VALUES.items():
        if mean:
            wrong = ever_values(name, experiments, seed, 1.2)
            told(f"{name}, those of the variant times 1.2", ~wrong)


def power(experiments: int, seed: int) -> None:
    """Print how often and how soon a difference is found, beside the fixed-horizon test."""
    events = 20_000
    title = f"{experiments} experiments of {events} units, rate 0.1 and"
    head(title, "found", "fixed, at the end", "units, of half")
    for variant in (0.105, 0.11, 0.115, 0.12, 0.125, 0.13, 0.15):
        chance, first, fixed = np.random.default_rng(seed), [], []
        for counts in looks(Setting(0.1, variant, events=events), experiments, chance):
            seen = counts[:, 99::100]
            hit = binary(seen, 0.5) >= LIMIT
            first.append(np.where(hit.any(axis=1), 100 * (hit.argmax(axis=1) + 1), np.inf))
            fixed.append(_z(counts[:, -1:])[:, 0] < ALPHA)
        stops = np.concatenate(first)
        half = np.median(stops)
        told_half = f"{half:.0f}" if np.isfinite(half) else "-"
        shares = (100 * np.mean(one) for one in (np.isfinite(stops), np.concatenate(fixed)))
        row = [f"{variant:g}", *(f"{share:.1f} %" for share in shares), told_half]
        print(f"| {' | '.join(row)} |", flush=True)


def crowds(experiments: int, seed: int) -> None:
    """Print what users who come ten times do to tests."""
    chance, ours, naive = np.random.default_rng(seed), [], []
    for who, variant, value in visits(Crowd(1000, 10), experiments, chance):
        by_bucket, alone = clustered(who, variant, value, 100, ALPHA, LEAST)
        ours.append((by_bucket >= LIMIT).any(axis=1))
        naive.append((alone >= LIMIT).any(axis=1))
    title = "A/A, 1,000 users of 10 requests each, a look every 100 requests"
    head(title, "ever found", *BOUNDS)
    told(f"by buckets of users, {experiments} experiments", np.concatenate(ours))
    told("as if each request were a user's", np.concatenate(naive))


def splitters(experiments: int, seed: int) -> None:
    """Print how often a split is said to be broken."""
    head("even split, 20,000 requests; the splitter gives", "blocked", *BOUNDS)
    for share in (0.5, 0.51, 0.52, 0.53, 0.55):
        setting = Setting(0.1, 0.1, splitter=share, events=20_000)
        told(f"{100 * share:g} %", ever_blocked(setting, experiments, seed))


def labels(experiments: int, seed: int) -> None:
    """Print how often intervals of what labels say of scores hold the truth, at one look."""
    head(f"labels, {experiments} experiments, one look", "holds", *BOUNDS)
    for words, rows, users in (
        ("60 rows", 60, None),
        ("400 rows", 400, None),
        ("800 rows of 100 users", 800, 100),
    ):
        found = list(held(rows, users, experiments, seed))
        for name in found[0]:
            told(f"{name}, {words}", np.array([one[name] for one in found if name in one]))


PARTS: dict[str, tuple[Callable[[int, int], None], float]] = {
    "false-verdicts": (false_verdicts, 1),
    "coverage": (coverage, 1),
    "means": (coverage_of_means, 1),
    "power": (power, 0.1),
    "crowds": (crowds, 0.1),
    "splitters": (splitters, 0.1),
    "labels": (labels, 0.1),
}
"""What prints a table, and how many of the experiments it takes."""


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiments", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    began = time.monotonic()
    for name in options.only:
        part, share = PARTS[name]
        part(max(200, round(share * options.experiments)), options.seed)
    print(f"\n{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
