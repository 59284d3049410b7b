"""What this process heard of what is tried and has not written down yet: lost with it, no more.

Counts change with every look. Writing each of them would keep the API server busy, so they are
written now and then, and at once where a pod goes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from tiltyard_api.evidence import CanaryLedger
from tiltyard_api.experimentledger import Heard
from tiltyard_operator.observed import Observed, Spoke, Unwritten
from tiltyard_operator.queue import Key


class Ledgers:
    """The memory of each Pipeline. Each key is one thread's at a time."""

    def __init__(self) -> None:
        self._unwritten: dict[Key, Unwritten] = {}

    def recall(self, key: Key, seen: Observed) -> Observed:
        """Add to what is seen of a Pipeline what is remembered of it."""
        return replace(seen, unwritten=self._unwritten.get(key, Unwritten()))

    def note(
        self,
        key: Key,
        ledgers: Mapping[str, CanaryLedger],
        pods: Iterable[str],
        heard: tuple[Heard, ...] = (),
        spoke: Mapping[str, Spoke] | None = None,
    ) -> None:
        """Remember what was counted up to now, and by whom."""
        if ledgers or heard or spoke:
            self._unwritten[key] = Unwritten(ledgers, frozenset(pods), heard, spoke or {})
        else:
            self.forget(key)

    def forget(self, key: Key) -> None:
        """Forget a Pipeline that is gone, or tries nothing any more."""
        self._unwritten.pop(key, None)
