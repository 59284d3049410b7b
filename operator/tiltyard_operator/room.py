"""What of an experiment fits into a ConfigMap, which holds a mebibyte at most. Pure."""

from collections.abc import Collection
from dataclasses import dataclass

from tiltyard_api.base import canonical
from tiltyard_api.experimentledger import ExperimentLedger, Heard
from tiltyard_api.packing import packed

MOST_BYTES = 448 << 10
"""Of the mebibyte; the rest is for what is counted of a canary and of shadows, at their largest."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What can be written down."""

    ledger: ExperimentLedger
    unwritten: int = 0
    """Engines that say more than there is room for: as long as they are there, they say it again,
    and what they said last is added to the others' when they are gone."""

    @property
    def shortage(self) -> str:
        """Say what there is no room for; empty: nothing."""
        said = []
        if self.unwritten:
            said.append(
                f"the evidence has no room for the sums of {self.unwritten} pods that serve:"
                " nodes that are lost while the operator is away take them along"
            )
        if self.ledger.dropped:
            said.append(
                f"the evidence had no room for {self.ledger.dropped} of the oldest sets of weights:"
                " feedback that pods which are gone took on these is left out"
            )
        return "; ".join(said)


def fitted(ledger: ExperimentLedger, ending: Collection[str], most: int = MOST_BYTES) -> Fitted:
    """Leave out what would be too much: what is least likely to be missed first.

    Args:
        ledger: all that is known.
        ending: pods on their way out: what they say is written down before all others'.
        most: bytes.

    """
    if _fits(ledger, most):
        return Fitted(ledger)
    bare = ledger.model_copy(update={"known": ()})
    while not _fits(bare, most) and bare.gone and len(bare.gone.strata) > 1:
        gone = bare.gone.model_copy(update={"strata": bare.gone.strata[1:]})
        bare = bare.model_copy(update={"gone": gone, "dropped": (bare.dropped or 0) + 1})
    known = _first(ledger, ending, most - len(packed(bare)))
    found = bare.model_copy(update={"known": known})
    while known and not _fits(found, most):  # they are packed together, not one by one
        known = known[:-1]
        found = bare.model_copy(update={"known": known})
    return Fitted(found, len(ledger.known) - len(known))


def _first(ledger: ExperimentLedger, ending: Collection[str], room: int) -> tuple[Heard, ...]:
    """Give as many engines as there is room for, always the same ones."""
    known: list[Heard] = []
    for one in sorted(ledger.known, key=lambda one: (one.pod not in ending, one.pod)):
        room -= len(packed(one))
        if room < 0:
            break
        known.append(one)
    return tuple(known)


def _fits(ledger: ExperimentLedger, most: int) -> bool:
    """Whether it is small enough: mostly that is so before it is packed."""
    return len(canonical(ledger)) <= most or len(packed(ledger)) <= most
