"""Brings together what engines counted of a canary: nothing twice, nothing lost with an engine."""

from collections.abc import Iterable, Sequence

from tiltyard_api.evidence import MOST_KEYS, CanaryCounts, CanaryLedger, Tally, Units
from tiltyard_api.v1alpha1.stage import Guard
from tiltyard_core.units import mixed, packed, sampled, unpacked

MOST_INCARNATIONS = 1000
"""Engines whose counts are kept apart; those with the fewest units beyond that are forgotten."""

ALL = "all"
"""Incarnation of what unites all engines."""

Sets = dict[str, frozenset[int]]


def remember(
    ledger: CanaryLedger | None, stage: str, heard: Iterable[CanaryCounts]
) -> CanaryLedger:
    """Add to what was known what engines say now; what they said before does not count again.

    Args:
        ledger: what is known; of another stage it is over.
        stage: the stage that is in force.
        heard: what engines say; of another stage it is over, or not yet in force.

    """
    before = ledger.known if ledger and ledger.stage == stage else ()
    now = [one for one in heard if one.stage == stage]
    if any(one.keyed for one in (*before, *now)):
        known: Sequence[CanaryCounts] = [united(stage, [*before, *now])] if before or now else []
    else:
        known = _newest([*before, *now])
    return CanaryLedger(stage=stage, known=tuple(known))


def total(ledger: CanaryLedger) -> CanaryCounts | None:
    """Give what all engines counted together; None: nothing yet."""
    if len(ledger.known) <= 1:
        return next(iter(ledger.known), None)
    return united(ledger.stage, ledger.known)


def united(stage: str, parts: Sequence[CanaryCounts]) -> CanaryCounts:
    """Unite the counts of several workers or engines, each of which is there once.

    What was saturated in the first part stays as it is there: it is what was judged so far.
    """
    if not parts[0].keyed:
        return CanaryCounts(
            incarnation=ALL,
            stage=stage,
            keyed=False,
            stable=_added([one.stable for one in parts]),
            candidate=_added([one.candidate for one in parts]),
        )
    level, stable, candidate = _sample(parts)
    tallies = {"stable": {"units": stable}, "candidate": {"units": candidate}}
    saturated = []
    for guard in Guard:
        mine, theirs, full = _bad(parts, guard)
        tallies["stable"][guard], tallies["candidate"][guard] = mine, theirs
        saturated += [guard] if full else []
    return CanaryCounts(
        incarnation=ALL,
        stage=stage,
        keyed=True,
        level=level,
        stable=keyed_tally(tallies["stable"]),
        candidate=keyed_tally(tallies["candidate"]),
        saturated=tuple(saturated),
    )


def keyed_tally(sets: Sets | dict[str, set[int]]) -> Tally:
    """Write sets of draws, by the names of a tally's fields."""
    return Tally.model_validate(
        {name: Units(count=len(draws), keys=packed(draws)) for name, draws in sets.items()}
    )


def _newest(counts: Sequence[CanaryCounts]) -> list[CanaryCounts]:
    """Of each incarnation the word with the most units: its numbers never fall."""
    last: dict[str, CanaryCounts] = {}
    for one in counts:
        known = last.get(one.incarnation)
        if known is None or _size(one) >= _size(known):
            last[one.incarnation] = one
    return sorted(last.values(), key=_size, reverse=True)[:MOST_INCARNATIONS]


def _size(counts: CanaryCounts) -> int:
    return counts.stable.units.count + counts.candidate.units.count


def _added(tallies: Sequence[Tally]) -> Tally:
    names = Tally.model_fields
    return Tally.model_validate(
        {name: Units(count=sum(getattr(one, name).count for one in tallies)) for name in names}
    )


def _sample(parts: Sequence[CanaryCounts]) -> tuple[int, frozenset[int], frozenset[int]]:
    """Unite samples of units at the lowest level at which they fit."""
    level = max(one.level for one in parts)
    stable = _united([one.stable.units for one in parts])
    candidate = _united([one.candidate.units for one in parts])
    while True:
        if level:
            stable = frozenset(draw for draw in stable if sampled(draw, level))
            candidate = frozenset(draw for draw in candidate if sampled(draw, level))
        if len(stable) + len(candidate) <= MOST_KEYS:
            return level, stable, candidate
        level += 1


def _bad(
    parts: Sequence[CanaryCounts], guard: Guard
) -> tuple[frozenset[int], frozenset[int], bool]:
    """Unite the bad units of both variants; where they do not fit, keep a fair part and stop."""
    if guard in parts[0].saturated and parts[0].incarnation == ALL:
        parts = parts[:1]
    stable = _united([getattr(one.stable, guard) for one in parts])
    candidate = _united([getattr(one.candidate, guard) for one in parts])
    full = any(guard in one.saturated for one in parts)
    if len(stable) + len(candidate) > MOST_KEYS:
        kept = frozenset(sorted(stable | candidate, key=mixed)[:MOST_KEYS])
        return stable & kept, candidate & kept, True
    return stable, candidate, full


def _united(sets: Iterable[Units]) -> frozenset[int]:
    return frozenset().union(*(unpacked(one.keys or "") for one in sets))
