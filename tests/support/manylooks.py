"""Thousands of experiments at once, each looked at after every event: the real tests as arrays.

What is computed here is what `tiltyard_core.experiments` computes, for many tables at a time;
`tests/unit/core/experiments/test_anytime.py` holds the two against each other.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tiltyard_api.experiment import BUCKETS
from tiltyard_core.experiments.anytime import CENTRES, STAKES, prior_of
from tiltyard_core.experiments.difference import LEAST_TUNED, TUNED

Reals = NDArray[np.float64]
Wholes = NDArray[np.int64]

AT_ONCE = 20
"""Experiments that are held at a time, which bounds the memory."""


@dataclass(frozen=True)
class Setting:
    """What happens in every experiment."""

    control: float
    """Rate of success."""

    variant: float
    share: float = 0.5
    """Of the variant, as everybody believes."""

    splitter: float | None = None
    """Of the variant, as it is; None: the same."""

    events: int = 2000


def looks(setting: Setting, experiments: int, chance: np.random.Generator) -> Iterator[Reals]:
    """Give, for some experiments at a time, what is known after each event.

    The last axis: control without and with success, variant without and with success.
    """
    share = setting.share if setting.splitter is None else setting.splitter
    for done in range(0, experiments, AT_ONCE):
        size = (min(AT_ONCE, experiments - done), setting.events)
        variant = chance.random(size) < share
        rate = np.where(variant, setting.variant, setting.control)
        kind = 2 * variant + (chance.random(size) < rate)
        yield np.cumsum(np.eye(4)[kind], axis=1)


def binary(counts: Reals, share: float, difference: float = 0.0) -> Reals:
    """Log evidence after each event, as `binary_evidence` gives it."""
    rest = 1 - share
    drift = share * rest * difference
    bets = np.array(
        [(sign * stake, centre) for stake in STAKES for sign in (1, -1) for centre in CENTRES]
    )
    stake, centre = bets.T
    logs = np.stack(
        [
            np.log1p(stake * (-share * (0 - centre) - drift)),
            np.log1p(stake * (-share * (1 - centre) - drift)),
            np.log1p(stake * (rest * (0 - centre) - drift)),
            np.log1p(stake * (rest * (1 - centre) - drift)),
        ]
    )
    found = counts @ logs
    most = found.max(axis=-1, keepdims=True)
    np.exp(np.subtract(found, most, out=found), out=found)
    mean: Reals = np.log(found.mean(axis=-1)) + most[..., 0]
    return mean


def ratio(counts: Sequence[Reals], shares: Sequence[float], strength: float = 100.0) -> Reals:
    """Log evidence of an uneven split after each event, as `ratio_evidence` gives it."""
    total: Reals = np.sum(counts, axis=0)
    found: Reals = gammaln(strength) - gammaln(total + strength)
    for count, share in zip(counts, shares, strict=True):
        expected = strength * share
        found = found + gammaln(count + expected) - gammaln(expected) - count * np.log(share)
    return found


def mixed(
    difference: Reals, error: Reals, freedom: Reals, units: Reals, alpha: float, least: int
) -> Reals:
    """Log evidence by a normal mixture, as `difference` gives it for values and buckets."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, difference / error, 0.0)
        factor = (8 * freedom + 1) / (8 * freedom + 3)
        squared = factor**2 * freedom * np.log1p(t * t / freedom)
    prior = prior_of(1.0, TUNED * max(least, LEAST_TUNED) / 2, alpha) * units
    found: Reals = (squared * prior / (1 + prior) - np.log1p(prior)) / 2
    return found


def values(
    variant: NDArray[np.bool_], value: Reals, alpha: float, least: int, true: float = 0.0
) -> Reals:
    """Log evidence against a difference of means after each event; 0 before there are enough."""
    parts = []
    for mask in (~variant, variant):
        n = np.cumsum(mask, axis=1)
        total = np.cumsum(np.where(mask, value, 0.0), axis=1)
        squares = np.cumsum(np.where(mask, value**2, 0.0), axis=1)
        count = np.maximum(n, 1)
        mean = total / count
        spread = np.maximum(0.0, squares - total * mean) / np.maximum(n - 1, 1)
        parts.append((n, mean, spread / count))
    (n, mean, term), (m, other, term2) = parts
    error = np.sqrt(term + term2)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (term + term2) ** 2 / (
            term**2 / np.maximum(n - 1, 1) + term2**2 / np.maximum(m - 1, 1)
        )
        units = n * m / np.maximum(n + m, 1)
    found = mixed(other - mean - true, error, np.nan_to_num(freedom, nan=1.0), units, alpha, least)
    return np.where((n >= least) & (m >= least), found, 0.0)


@dataclass(frozen=True)
class Crowd:
    """Users who come again and again, each with habits of their own."""

    users: int
    requests: int
    """Of each user."""

    rate: float = 0.1
    alike: float = 5.0
    """The smaller, the more users differ."""


def visits(
    crowd: Crowd, experiments: int, chance: np.random.Generator
) -> Iterator[tuple[Wholes, NDArray[np.bool_], Reals]]:
    """Give, for some experiments at a time, who came, which variant he got, and what came of it."""
    events = crowd.users * crowd.requests
    for done in range(0, experiments, AT_ONCE):
        size = min(AT_ONCE, experiments - done)
        rates = chance.beta(
            crowd.rate * crowd.alike, (1 - crowd.rate) * crowd.alike, (size, crowd.users)
        )
        variant = chance.random((size, crowd.users)) < 0.5
        who = np.tile(np.arange(events) % crowd.users, (size, 1))
        who = chance.permuted(who, axis=1)
        value = chance.random((size, events)) < np.take_along_axis(rates, who, axis=1)
        yield who, np.take_along_axis(variant, who, axis=1), value.astype(float)


def clustered(
    who: Wholes, variant: NDArray[np.bool_], value: Reals, every: int, alpha: float, least: int
) -> tuple[Reals, Reals]:
    """Log evidence at every so many events: by buckets of users, and as if no user came twice.

    Users are in the bucket of their number, which is as good as any.
    """
    size, events = who.shape
    marks = np.arange(every, events + 1, every) - 1
    rows = np.arange(size)[:, None]
    place = np.where(variant, BUCKETS, 0) + who % BUCKETS
    sums, counts = np.zeros((size, 2 * BUCKETS)), np.zeros((size, 2 * BUCKETS))
    seen = np.zeros((size, int(who.max()) + 1), dtype=bool)
    found, start = [], 0
    for mark in marks:
        part = slice(start, mark + 1)
        np.add.at(counts, (rows, place[:, part]), 1)
        np.add.at(sums, (rows, place[:, part]), value[:, part])
        seen[rows, who[:, part]] = True
        start = mark + 1
        users = seen.sum(axis=1)
        evidence = mixed(*spread(counts, sums), users / 4, alpha, least)
        found.append(np.where(users / 2 >= least, evidence, 0.0))
    alone = values(variant, value, alpha, least)[:, marks]
    return np.stack(found, axis=1), alone


def spread(counts: Reals, sums: Reals) -> tuple[Reals, Reals, Reals]:
    """Difference, its error and its degrees of freedom, by the spread of buckets.

    Args:
        counts: values by bucket, of the control and then of the variant, in the last axis.
        sums: of these values.

    """
    strays, means = [], []
    for part in (slice(0, BUCKETS), slice(BUCKETS, None)):
        n = np.maximum(counts[:, part].sum(axis=1, keepdims=True), 1)
        mean = sums[:, part].sum(axis=1, keepdims=True) / n
        strays.append((sums[:, part] - mean * counts[:, part]) / n)
        means.append(mean[:, 0])
    used = ((counts[:, :BUCKETS] + counts[:, BUCKETS:]) > 0).sum(axis=1)
    free = np.maximum(1, used - 1).astype(float)
    error = np.sqrt(((strays[1] - strays[0]) ** 2).sum(axis=1) * used / free)
    return means[1] - means[0], error, free
